/* Which resolved addresses are public (SEMANTICS 39). The client asks at
 * connect, after DNS, so that no name can lead into a private network. Pure;
 * any thread. */
#ifndef HL_NET_ADDRESS_H
#define HL_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* False for private, shared (CGNAT), loopback, link-local, unique-local, multicast,
 * unspecified, documentation and reserved addresses, for the IPv6 forms that carry
 * such an IPv4 address (mapped, NAT64, 6to4), and for any other family. */
bool hl_address_public(const struct sockaddr *sa);
/* Numeric text without the port; "?" for an unknown family. 46 bytes hold any. */
void hl_address_text(const struct sockaddr *sa, char *out, size_t size);

#endif
