#include "cmd/cmd.h"

int main(int argc, char **argv) { return hl_cmd_main(argc, argv); }
