/* What the parts of the machine share. */
#ifndef PIRN_MACHINE_H
#define PIRN_MACHINE_H

#include <stdint.h>

#include "lua.h"

/* The stack lies below all data: what overflows it leaves the memory, and traps. It begins at 16, so that no stack
   address is NULL. */
#define PIRN_STACK_END ((void *)16)

/* Milliseconds since 1970, of the message being handled. */
extern int64_t pirn_timestamp;

/* json.c */

/* A text that grows. One is kept for the answer and one for scratch, and reused, as errors jump past any `free`. */
struct text {
  char *bytes;
  size_t length, room;
};
/* Room for `more` bytes and a NUL; a Lua error if there is no memory. */
void pirn_reserve(lua_State *L, struct text *text, size_t more);
void pirn_add(lua_State *L, struct text *text, const char *bytes, size_t length);
/* Gives a large text's memory back. */
void pirn_shrink(struct text *text);

/* Appends the value at `index`. A Lua error if it has no JSON. */
void pirn_encode(lua_State *L, int index, struct text *out);
/* Appends a string, quoted. */
void pirn_quote(lua_State *L, const char *bytes, size_t length, struct text *out);
/* Pushes the value that the text says. A Lua error, with its line and column, if it is no JSON. */
void pirn_decode(lua_State *L, const char *bytes, size_t length);
/* The Lua module `json`: encode, decode. */
int luaopen_json(lua_State *L);

/* The files of processes/boot, generated. */
struct source {
  const char *name;
  const char *bytes;
  size_t length;
};
extern const struct source pirn_sources[];
extern const size_t pirn_n_sources;

#endif
