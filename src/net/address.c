#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>

/* IANA's special-purpose registry: what is not globally reachable. */
static const struct { uint32_t net; unsigned bits; } SPECIAL4[] = {
  {0x00000000, 8},  /* this network */
  {0x0a000000, 8},  /* private */
  {0x64400000, 10}, /* shared, behind carrier NAT */
  {0x7f000000, 8},  /* loopback */
  {0xa9fe0000, 16}, /* link-local: cloud metadata lives here */
  {0xac100000, 12}, /* private */
  {0xc0000000, 24}, /* IETF protocols */
  {0xc0000200, 24}, /* documentation */
  {0xc0586300, 24}, /* 6to4 relays */
  {0xc0a80000, 16}, /* private */
  {0xc6120000, 15}, /* benchmarks */
  {0xc6336400, 24}, /* documentation */
  {0xcb007100, 24}, /* documentation */
  {0xe0000000, 4},  /* multicast */
  {0xf0000000, 4},  /* reserved, broadcast */
};

static bool public4(uint32_t a) {
  for (size_t i = 0; i < sizeof SPECIAL4 / sizeof *SPECIAL4; i++)
    if ((a ^ SPECIAL4[i].net) >> (32 - SPECIAL4[i].bits) == 0) return false;
  return true;
}

static uint32_t be32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool public6(const uint8_t a[16]) {
  static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
  static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
  if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0) return public4(be32(a + 12));
  if (a[0] == 0x20 && a[1] == 0x02) return public4(be32(a + 2)); /* 6to4 */
  if ((a[0] & 0xe0) != 0x20) return false;                       /* all global unicast is 2000::/3 */
  uint32_t top = be32(a);
  if ((top & 0xfffffe00) == 0x20010000) return false; /* 2001::/23: Teredo, ORCHID, … */
  if (top == 0x20010db8) return false;                /* documentation */
  if ((top & 0xfffff000) == 0x3fff0000) return false; /* documentation */
  return true;
}

bool hl_address_public(const struct sockaddr *sa) {
  if (sa->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, sa, sizeof in);
    return public4(ntohl(in.sin_addr.s_addr));
  }
  if (sa->sa_family == AF_INET6) {
    struct sockaddr_in6 in6;
    memcpy(&in6, sa, sizeof in6);
    return public6(in6.sin6_addr.s6_addr);
  }
  return false;
}

void hl_address_text(const struct sockaddr *sa, char *out, size_t size) {
  const void *p = NULL;
  if (sa->sa_family == AF_INET) p = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
  if (sa->sa_family == AF_INET6) p = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
  if (!p || !inet_ntop(sa->sa_family, p, out, (socklen_t)size)) snprintf(out, size, "?");
}
