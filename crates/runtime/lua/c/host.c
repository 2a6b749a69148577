/* What Lua and libc ask of a computer, answered the same way everywhere: memory from the host, and nothing else. */
#include <stdint.h>
#include <stdlib.h>

#include "machine.h"

#define PAGE 65536u

__attribute__((import_module("env"), import_name("emscripten_resize_heap"))) int emscripten_resize_heap(uint32_t bytes);

/* The end of what malloc has. Grown by the host, because it counts, bounds and maps the memory. */
void *sbrk(intptr_t more) {
  static uintptr_t end;
  uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
  if (end == 0) end = have;
  if (more < 0 || (uintptr_t)more > UINT32_MAX - PAGE - end) return (void *)-1;
  uintptr_t wanted = end + (uintptr_t)more;
  if (wanted > have && !emscripten_resize_heap(wanted)) return (void *)-1;
  uintptr_t was = end;
  end = wanted;
  return (void *)was;
}

/* The clock stands at the message. */
time_t time(time_t *out) {
  time_t now = (time_t)(pirn_timestamp / 1000);
  if (out) *out = now;
  return now;
}

/* Lua refers to these from functions that no process can reach; there are no files, programs or variables. */
#define NONE(type, name, parameters, value) \
  type name parameters { return value; }
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-parameter"
NONE(char *, getenv, (const char *name), NULL)
NONE(int, remove, (const char *name), -1)
NONE(int, rename, (const char *from, const char *to), -1)
NONE(char *, setlocale, (int category, const char *name), NULL)
NONE(FILE *, fopen, (const char *name, const char *mode), NULL)
NONE(FILE *, freopen, (const char *name, const char *mode, FILE *file), NULL)
NONE(int, fclose, (FILE * file), EOF)
NONE(int, getc, (FILE * file), EOF)
NONE(int, ungetc, (int c, FILE *file), EOF)
NONE(int, feof, (FILE * file), 1)
NONE(int, ferror, (FILE * file), 1)
NONE(size_t, fread, (void *to, size_t size, size_t count, FILE *file), 0)
NONE(char *, fgets, (char *to, int size, FILE *file), NULL)
NONE(int, fflush, (FILE * file), 0)
void exit(int code) { abort(); }
void abort(void) { __builtin_trap(); }

/* Part of the module contract: how the host calls what it was asked to invoke. */
__attribute__((export_name("dynCall_vii"))) void dynCall_vii(void (*call)(void *, void *), void *one, void *two) {
  call(one, two);
}

/* Likewise: the host says here that it caught a throw. Lua's own status says which. */
__attribute__((export_name("setThrew"))) void setThrew(int threw, int value) {}
__attribute__((export_name("emscripten_stack_init"))) void emscripten_stack_init(void) {}
__attribute__((export_name("emscripten_stack_get_end"))) void *emscripten_stack_get_end(void) { return PIRN_STACK_END; }
#pragma clang diagnostic pop
