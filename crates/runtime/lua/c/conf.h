/* Included before every source, Lua's and ours: where Lua meets its surroundings, and what they are here. */
#ifndef PIRN_CONF_H
#define PIRN_CONF_H

#include <stddef.h>
#include <stdio.h>
#include <time.h>

/* Lua names these, and wasi-libc does not declare them; a process has none of them (see host.c). */
int rename(const char *from, const char *to);
int remove(const char *name);

/* The order of `pairs` follows from this seed: the same in every process, on every computer. */
#define luai_makeseed() 0x6e726970u

/* A protected call goes through the host: it calls the function, and catches the throw. The one place that would
   otherwise need setjmp. `f` and `ud` are the parameters of luaD_rawrunprotected. */
#define luai_jmpbuf int
#define LUAI_THROW(L, c) _emscripten_throw_longjmp()
#define LUAI_TRY(L, c, a) invoke_vii((void *)(f), (L), (ud))
__attribute__((import_module("env"), import_name("invoke_vii"))) void invoke_vii(void *call, void *one, void *two);
__attribute__((import_module("env"), import_name("_emscripten_throw_longjmp"), noreturn)) void
_emscripten_throw_longjmp(void);

/* Nobody reads what is printed before the boot library has its own `print`. */
#define lua_writestring(s, l) ((void)(s), (void)(l))
#define lua_writeline() ((void)0)
#define lua_writestringerror(s, p) ((void)(s), (void)(p))

/* `table.sort` chooses where to begin in large tables: not by chance. */
#define arc4random() 0x6e726970u

/* Everywhere is Greenwich. */
#define localtime gmtime
#define mktime timegm
time_t timegm(struct tm *tm);

#endif
