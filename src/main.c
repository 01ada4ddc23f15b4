#include <stdio.h>
int main(void) { puts("hubloop"); return 0; }
