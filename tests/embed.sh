#!/bin/sh
# Prints an assembly file that embeds the given files as a table of
# {name, bytes, length}: hl_stdlib_files, hl_stdlib_count (see base/embed.h).
set -eu
echo '	.section .rodata'
i=0
for f in "$@"; do
  printf '.Ln%d:\t.asciz "%s"\n.Lb%d:\t.incbin "%s"\n.Le%d:\t.byte 0\n' $i "${f#stdlib/}" $i "$f" $i
  i=$((i + 1))
done
printf '\t.section .data.rel.ro,"aw"\n\t.balign 8\n\t.globl hl_stdlib_files\nhl_stdlib_files:\n'
j=0
while [ $j -lt $i ]; do
  printf '\t.quad .Ln%d, .Lb%d, .Le%d - .Lb%d\n' $j $j $j $j
  j=$((j + 1))
done
printf '\t.section .rodata\n\t.balign 8\n\t.globl hl_stdlib_count\nhl_stdlib_count:\t.quad %d\n\t.section .note.GNU-stack,"",@progbits\n' $i
