/* The module: a Lua state that is made by the first message, and `handle`. */
#include <stdlib.h>
#include <string.h>

#include "lauxlib.h"
#include "lualib.h"
#include "machine.h"

/* Stack that must be left beside the arguments: 200 C calls of Lua's with their buffers need less than half. */
#define STACK_SPARE (1u << 20)

int64_t pirn_timestamp;

static lua_State *state;
static struct text answer;

static const char BEGINNING[] = "{\"ok\":true,\"response\":";
static const char FAILURE[] = "{\"ok\":false,\"response\":";

/* Loads the boot file whose index is the first upvalue; its chunk is called with the name required. */
static int load_source(lua_State *L) {
  const struct source *source = &pirn_sources[lua_tointeger(L, lua_upvalueindex(1))];
  const char *chunk = lua_pushfstring(L, "@boot/%s.lua", source->name);
  if (luaL_loadbufferx(L, source->bytes, source->length, chunk, "t") != LUA_OK) return lua_error(L);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static void forget(lua_State *L, const char *library, const char *const *names) {
  lua_getglobal(L, library);
  for (; *names; names++) {
    lua_pushnil(L);
    lua_setfield(L, -2, *names);
  }
  lua_pop(L, 1);
}

/* Processor time is not the same everywhere. */
static int clock_stands(lua_State *L) {
  lua_pushnumber(L, 0);
  return 1;
}

/* The libraries of Lua, less what reaches out of a process, and `json`. */
static void open_libraries(lua_State *L) {
  static const luaL_Reg libraries[] = {
      {"_G", luaopen_base},       {LUA_LOADLIBNAME, luaopen_package}, {LUA_COLIBNAME, luaopen_coroutine},
      {LUA_TABLIBNAME, luaopen_table}, {LUA_OSLIBNAME, luaopen_os},   {LUA_STRLIBNAME, luaopen_string},
      {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8}, {LUA_DBLIBNAME, luaopen_debug},
      {LUA_BITLIBNAME, luaopen_bit32}, {NULL, NULL}};
  for (const luaL_Reg *library = libraries; library->func; library++) {
    luaL_requiref(L, library->name, library->func, 1);
    lua_pop(L, 1);
  }
  forget(L, "_G", (const char *const[]){"dofile", "loadfile", NULL});
  forget(L, "os", (const char *const[]){"execute", "exit", "remove", "rename", "setlocale", "tmpname", NULL});
  lua_getglobal(L, "os");
  lua_pushcfunction(L, clock_stands);
  lua_setfield(L, -2, "clock");
  lua_pop(L, 1);
  forget(L, "debug", (const char *const[]){"debug", NULL});
  lua_getglobal(L, "package");
  forget(L, "package", (const char *const[]){"loadlib", "searchpath", NULL});
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "path");
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "cpath");
  /* Of the searchers only the first finds anything here. */
  lua_getfield(L, -1, "searchers");
  for (int at = 2; at <= 4; at++) {
    lua_pushnil(L);
    lua_rawseti(L, -2, at);
  }
  lua_pop(L, 1);
  lua_getfield(L, -1, "preload");
  for (size_t at = 0; at < pirn_n_sources; at++) {
    lua_pushinteger(L, (lua_Integer)at);
    lua_pushcclosure(L, load_source, 1);
    lua_setfield(L, -2, pirn_sources[at].name);
  }
  lua_pop(L, 2);
  luaL_requiref(L, "json", luaopen_json, 0);
  lua_pop(L, 1);
}

static int begin(lua_State *L) {
  /* A collection touches every page of the heap, and what is touched is copied and kept: twice as rarely as Lua has it. */
  lua_gc(L, LUA_GCSETPAUSE, 300);
  open_libraries(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "process");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "handle");
  luaL_checktype(L, -1, LUA_TFUNCTION);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state);
  return 0;
}

/* The message's own time; a string or a number. */
static void read_clock(lua_State *L, int message) {
  if (lua_type(L, message) != LUA_TTABLE) return;
  lua_getfield(L, message, "Timestamp");
  int is_number;
  lua_Number now = lua_tonumberx(L, -1, &is_number);
  if (is_number && now >= 0 && now < 9e15) pirn_timestamp = (int64_t)now;
  lua_pop(L, 1);
}

/* Of an outcome that is an error nothing but the error counts: what else it says is left out. */
static void leave_error_alone(lua_State *L) {
  if (lua_type(L, -1) != LUA_TTABLE || lua_getfield(L, -1, "Error") == LUA_TNIL) {
    lua_settop(L, 3);
    return;
  }
  lua_createtable(L, 0, 1);
  lua_insert(L, -2);
  lua_setfield(L, -2, "Error");
}

static int evaluate(lua_State *L) {
  const char *message = lua_touserdata(L, 1), *environment = lua_touserdata(L, 2);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state);
  pirn_decode(L, message, strlen(message));
  read_clock(L, lua_gettop(L));
  pirn_decode(L, environment, strlen(environment));
  lua_call(L, 2, 1);
  leave_error_alone(L);
  answer.length = 0;
  pirn_add(L, &answer, BEGINNING, sizeof BEGINNING - 1);
  pirn_encode(L, lua_gettop(L), &answer);
  pirn_add(L, &answer, "}", 1);
  return 0;
}

/* The error on top of the stack as an answer. */
static int fail(lua_State *L) {
  size_t length;
  const char *why = luaL_tolstring(L, 1, &length);
  answer.length = 0;
  pirn_add(L, &answer, FAILURE, sizeof FAILURE - 1);
  pirn_quote(L, why, length, &answer);
  pirn_add(L, &answer, "}", 1);
  return 0;
}

static const char *said(void) {
  answer.bytes[answer.length] = 0;
  return answer.bytes;
}

static const char *failed(lua_State *L) {
  lua_pushcfunction(L, fail);
  lua_insert(L, 1);
  lua_settop(L, 2);
  int status = lua_pcall(L, 1, 0, 0);
  lua_settop(L, 0);
  return status == LUA_OK ? said() : "{\"ok\":false,\"response\":\"not enough memory\"}";
}

/* Handles one message: both texts are JSON. The answer is good until the next call. */
__attribute__((export_name("handle"))) const char *handle(const char *message, const char *environment) {
  if ((uintptr_t)__builtin_frame_address(0) < STACK_SPARE)
    return "{\"ok\":false,\"response\":\"the message is too large for this module: with its environment it must be "
           "below 15 MiB (hint: send the data as an item of its own, and its id in the message)\"}";
  if (!state) {
    lua_State *L = luaL_newstate();
    if (!L) return "{\"ok\":false,\"response\":\"not enough memory to begin\"}";
    lua_pushcfunction(L, begin);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
      const char *why = failed(L);
      lua_close(L);
      return why;
    }
    state = L;
  }
  lua_State *L = state;
  lua_settop(L, 0);
  pirn_shrink(&answer);
  lua_pushcfunction(L, evaluate);
  lua_pushlightuserdata(L, (void *)message);
  lua_pushlightuserdata(L, (void *)environment);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) return failed(L);
  /* No collection, and no step of one: Lua collects as it allocates, and what a message costs must not grow with what
     the process holds. */
  return said();
}
