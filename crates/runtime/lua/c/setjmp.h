/* Lua includes this; here nothing jumps by itself (see conf.h). */
