/* JSON. Integers and floats stay what they are, keys are written in the order of their bytes, an empty table is `[]`,
   and `null` is nil: an array ends up without it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lauxlib.h"
#include "machine.h"

/* Arrays and objects in one another. A circle is deeper than any. */
#define DEPTH_MAX 128
/* A text above this is given back after the message. */
#define KEPT_MAX 65536

/* Texts. */

void pirn_reserve(lua_State *L, struct text *text, size_t more) {
  size_t wanted = text->length + more + 1;
  if (wanted <= text->room) return;
  if (wanted < more) luaL_error(L, "not enough memory");
  size_t room = text->room < 1024 ? 1024 : text->room;
  while (room < wanted) room = room < ((size_t)1 << 30) ? room * 2 : wanted;
  char *bytes = realloc(text->bytes, room);
  if (!bytes) luaL_error(L, "not enough memory");
  text->bytes = bytes;
  text->room = room;
}

void pirn_add(lua_State *L, struct text *text, const char *bytes, size_t length) {
  pirn_reserve(L, text, length);
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
}

void pirn_shrink(struct text *text) {
  text->length = 0;
  if (text->room <= KEPT_MAX) return;
  free(text->bytes);
  text->bytes = NULL;
  text->room = 0;
}

/* Encoding. */

static inline void add_byte(lua_State *L, struct text *text, char byte) {
  if (text->length + 2 > text->room) pirn_reserve(L, text, 1);
  text->bytes[text->length++] = byte;
}

void pirn_quote(lua_State *L, const char *bytes, size_t length, struct text *out) {
  static const char HEX[] = "0123456789abcdef";
  pirn_reserve(L, out, length + 2);
  add_byte(L, out, '"');
  size_t start = 0;
  for (size_t at = 0; at < length; at++) {
    unsigned char c = (unsigned char)bytes[at];
    if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
    pirn_add(L, out, bytes + start, at - start);
    start = at + 1;
    char escaped[6] = {'\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15]};
    const char *brief = strchr("\"\"\\\\\bb\ff\nn\rr\tt", c);
    if (c != 0 && brief) {
      /* Pairs of a byte and its letter; only even places are bytes. */
      static const char PAIRS[] = "\"\"\\\\\bb\ff\nn\rr\tt";
      for (const char *pair = PAIRS; *pair; pair += 2)
        if ((unsigned char)*pair == c) escaped[1] = pair[1];
      pirn_add(L, out, escaped, 2);
    } else {
      pirn_add(L, out, escaped, 6);
    }
  }
  pirn_add(L, out, bytes + start, length - start);
  add_byte(L, out, '"');
}

static void encode_integer(lua_State *L, lua_Integer value, struct text *out) {
  char digits[24];
  int at = sizeof digits;
  lua_Unsigned rest = value < 0 ? 0u - (lua_Unsigned)value : (lua_Unsigned)value;
  do digits[--at] = (char)('0' + rest % 10);
  while (rest /= 10);
  if (value < 0) digits[--at] = '-';
  pirn_add(L, out, digits + at, sizeof digits - (size_t)at);
}

/* The fewest digits that read back as the same number; what looks like an integer gets `.0`. */
static void encode_float(lua_State *L, lua_Number value, struct text *out) {
  if (!isfinite(value))
    luaL_error(L, "json: %s is no JSON number", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
  if (value == floor(value) && fabs(value) < 1e15) {
    if (value == 0 && signbit(value)) add_byte(L, out, '-');
    encode_integer(L, (lua_Integer)value, out);
    pirn_add(L, out, ".0", 2);
    return;
  }
  char digits[40];
  for (int precision = 15; precision <= 17; precision++) {
    snprintf(digits, sizeof digits, "%.*g", precision, value);
    if (precision == 17 || strtod(digits, NULL) == value) break;
  }
  if (!strpbrk(digits, ".e")) strcat(digits, ".0");
  pirn_add(L, out, digits, strlen(digits));
}

struct key {
  const char *bytes;
  size_t length;
};

static int compare_keys(const void *left, const void *right) {
  const struct key *a = left, *b = right;
  int order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
  return order ? order : (a->length > b->length) - (a->length < b->length);
}

static void sort_keys(struct key *keys, size_t count) {
  if (count > 16) {
    qsort(keys, count, sizeof *keys, compare_keys);
    return;
  }
  for (size_t at = 1; at < count; at++) {
    struct key key = keys[at];
    size_t to = at;
    for (; to > 0 && compare_keys(&key, &keys[to - 1]) < 0; to--) keys[to] = keys[to - 1];
    keys[to] = key;
  }
}

static void encode(lua_State *L, int index, struct text *out, int depth);

static void encode_array(lua_State *L, int index, struct text *out, int depth, size_t count) {
  add_byte(L, out, '[');
  for (size_t at = 1; at <= count; at++) {
    if (at > 1) add_byte(L, out, ',');
    if (lua_rawgeti(L, index, (lua_Integer)at) == LUA_TNIL) luaL_error(L, "json: invalid table: sparse array");
    encode(L, lua_gettop(L), out, depth);
    lua_pop(L, 1);
  }
  add_byte(L, out, ']');
}

static void encode_table(lua_State *L, int index, struct text *out, int depth) {
  if (depth >= DEPTH_MAX)
    luaL_error(L, "json: more than %d tables in one another (hint: is there a circular reference?)", DEPTH_MAX);
  luaL_checkstack(L, 8, "json: too deep");
  size_t count = 0, strings = 0, integers = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    count++;
    if (lua_type(L, -2) == LUA_TSTRING) strings++;
    else if (lua_isinteger(L, -2)) integers++;
  }
  if (integers == count) {
    if (lua_rawlen(L, index) != count) luaL_error(L, "json: invalid table: sparse array");
    encode_array(L, index, out, depth + 1, count);
    return;
  }
  if (strings != count) luaL_error(L, "json: invalid table: mixed or invalid key types");
  /* The keys' bytes stay where they are as long as the table has them. */
  struct key *keys = lua_newuserdata(L, count * sizeof *keys);
  size_t at = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    keys[at].bytes = lua_tolstring(L, -2, &keys[at].length);
    at++;
  }
  sort_keys(keys, count);
  add_byte(L, out, '{');
  for (at = 0; at < count; at++) {
    if (at) add_byte(L, out, ',');
    pirn_quote(L, keys[at].bytes, keys[at].length, out);
    add_byte(L, out, ':');
    lua_pushlstring(L, keys[at].bytes, keys[at].length);
    lua_rawget(L, index);
    encode(L, lua_gettop(L), out, depth + 1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  add_byte(L, out, '}');
}

static void encode(lua_State *L, int index, struct text *out, int depth) {
  size_t length;
  switch (lua_type(L, index)) {
    case LUA_TNIL: pirn_add(L, out, "null", 4); return;
    case LUA_TBOOLEAN:
      if (lua_toboolean(L, index)) pirn_add(L, out, "true", 4);
      else pirn_add(L, out, "false", 5);
      return;
    case LUA_TNUMBER:
      if (lua_isinteger(L, index)) encode_integer(L, lua_tointeger(L, index), out);
      else encode_float(L, lua_tonumber(L, index), out);
      return;
    case LUA_TSTRING: {
      const char *bytes = lua_tolstring(L, index, &length);
      pirn_quote(L, bytes, length, out);
      return;
    }
    case LUA_TTABLE: encode_table(L, index, out, depth); return;
    default: luaL_error(L, "json: unexpected type '%s'", luaL_typename(L, index));
  }
}

void pirn_encode(lua_State *L, int index, struct text *out) { encode(L, index, out, 0); }

/* Decoding. */

struct input {
  const char *start, *at, *end;
  struct text *scratch;
};

static _Noreturn void fail(lua_State *L, struct input *in, const char *where, const char *what) {
  int line = 1, column = 1;
  for (const char *at = in->start; at < where; at++) {
    column++;
    if (*at == '\n') line++, column = 1;
  }
  luaL_error(L, "json: %s at line %d column %d", what, line, column);
  __builtin_unreachable();
}

static int hex4(lua_State *L, struct input *in) {
  int value = 0;
  for (int n = 0; n < 4; n++) {
    char c = in->at < in->end ? *in->at : 0;
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (digit < 0) fail(L, in, in->at, "invalid unicode escape: \\u needs four hexadecimal digits");
    value = value * 16 + digit;
    in->at++;
  }
  return value;
}

/* A code point as UTF-8. Half a pair is none, and becomes the replacement character. */
static void decode_unicode(lua_State *L, struct input *in, struct text *to) {
  int code = hex4(L, in);
  if (code >= 0xd800 && code < 0xe000) {
    int is_pair = 0;
    if (code < 0xdc00 && in->end - in->at >= 6 && in->at[0] == '\\' && in->at[1] == 'u') {
      const char *back = in->at;
      in->at += 2;
      int low = hex4(L, in);
      is_pair = low >= 0xdc00 && low < 0xe000;
      if (is_pair) code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      else in->at = back;
    }
    if (!is_pair) code = 0xfffd;
  }
  char bytes[4];
  size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t at = n; at-- > 1; code >>= 6) bytes[at] = (char)(0x80 | (code & 63));
  bytes[0] = (char)(n == 1 ? code : (0xf00 >> n & 0xff) | code);
  pirn_add(L, to, bytes, n);
}

/* After the opening quote. */
static void decode_string(lua_State *L, struct input *in) {
  const char *opened = in->at - 1, *start = in->at;
  struct text *to = NULL;
  for (;;) {
    if (in->at >= in->end) fail(L, in, opened, "a string that does not end");
    unsigned char c = (unsigned char)*in->at;
    if (c == '"') break;
    if (c < 0x20) fail(L, in, in->at, "a control character in a string");
    in->at++;
    if (c != '\\') continue;
    if (!to) (to = in->scratch)->length = 0;
    pirn_add(L, to, start, (size_t)(in->at - 1 - start));
    char escape = in->at < in->end ? *in->at++ : 0;
    switch (escape) {
      case '"': case '\\': case '/': break;
      case 'b': escape = '\b'; break;
      case 'f': escape = '\f'; break;
      case 'n': escape = '\n'; break;
      case 'r': escape = '\r'; break;
      case 't': escape = '\t'; break;
      case 'u': decode_unicode(L, in, to); start = in->at; continue;
      default: fail(L, in, in->at - 1, "an invalid escape in a string");
    }
    add_byte(L, to, escape);
    start = in->at;
  }
  if (to) {
    pirn_add(L, to, start, (size_t)(in->at - start));
    lua_pushlstring(L, to->bytes, to->length);
  } else {
    lua_pushlstring(L, start, (size_t)(in->at - start));
  }
  in->at++;
}

static int is_digit(const struct input *in) { return in->at < in->end && *in->at >= '0' && *in->at <= '9'; }

static void decode_number(lua_State *L, struct input *in) {
  const char *start = in->at;
  if (*in->at == '-') in->at++;
  if (!is_digit(in)) fail(L, in, start, "an invalid number");
  if (*in->at == '0') in->at++;
  else while (is_digit(in)) in->at++;
  const char *whole = in->at;
  if (in->at < in->end && *in->at == '.') {
    in->at++;
    if (!is_digit(in)) fail(L, in, start, "an invalid number");
    while (is_digit(in)) in->at++;
  }
  if (in->at < in->end && (*in->at | 32) == 'e') {
    in->at++;
    if (in->at < in->end && (*in->at == '+' || *in->at == '-')) in->at++;
    if (!is_digit(in)) fail(L, in, start, "an invalid number");
    while (is_digit(in)) in->at++;
  }
  if (in->at == whole && whole - start <= 18) {
    lua_Integer value = 0;
    for (const char *at = start + (*start == '-'); at < whole; at++) value = value * 10 + (*at - '0');
    /* There is no integer -0. */
    if (*start == '-' && value == 0) lua_pushnumber(L, -0.0);
    else lua_pushinteger(L, *start == '-' ? -value : value);
    return;
  }
  struct text *text = in->scratch;
  text->length = 0;
  pirn_add(L, text, start, (size_t)(in->at - start));
  text->bytes[text->length] = 0;
  /* An integer of 19 digits may fit; Lua's own reading decides, and makes a float of what does not. */
  if (!lua_stringtonumber(L, text->bytes)) fail(L, in, start, "an invalid number");
}

static void skip_space(struct input *in) {
  while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t')) in->at++;
}

static void expect(lua_State *L, struct input *in, const char *word, size_t length) {
  if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0)
    fail(L, in, in->at, "something that is no JSON value");
  in->at += length;
}

static void decode(lua_State *L, struct input *in, int depth);

/* After the opening bracket. */
static void decode_array(lua_State *L, struct input *in, int depth) {
  lua_newtable(L);
  skip_space(in);
  if (in->at < in->end && *in->at == ']') {
    in->at++;
    return;
  }
  for (lua_Integer n = 1;; n++) {
    decode(L, in, depth);
    lua_rawseti(L, -2, n);
    skip_space(in);
    char c = in->at < in->end ? *in->at++ : 0;
    if (c == ']') return;
    if (c != ',') fail(L, in, in->at - (c != 0), "expected ',' or ']'");
  }
}

/* After the opening brace. */
static void decode_object(lua_State *L, struct input *in, int depth) {
  lua_newtable(L);
  skip_space(in);
  if (in->at < in->end && *in->at == '}') {
    in->at++;
    return;
  }
  for (;;) {
    skip_space(in);
    if (in->at >= in->end || *in->at != '"') fail(L, in, in->at, "expected a string as key");
    in->at++;
    decode_string(L, in);
    skip_space(in);
    if (in->at >= in->end || *in->at != ':') fail(L, in, in->at, "expected ':' after a key");
    in->at++;
    decode(L, in, depth);
    lua_rawset(L, -3);
    skip_space(in);
    char c = in->at < in->end ? *in->at++ : 0;
    if (c == '}') return;
    if (c != ',') fail(L, in, in->at - (c != 0), "expected ',' or '}'");
  }
}

static void decode(lua_State *L, struct input *in, int depth) {
  skip_space(in);
  if (in->at >= in->end) fail(L, in, in->at, "a value is missing");
  if (depth > DEPTH_MAX) fail(L, in, in->at, "more arrays and objects in one another than allowed (128)");
  luaL_checkstack(L, 6, "json: too deep");
  switch (*in->at) {
    case '{': in->at++; decode_object(L, in, depth + 1); return;
    case '[': in->at++; decode_array(L, in, depth + 1); return;
    case '"': in->at++; decode_string(L, in); return;
    case 't': expect(L, in, "true", 4); lua_pushboolean(L, 1); return;
    case 'f': expect(L, in, "false", 5); lua_pushboolean(L, 0); return;
    case 'n': expect(L, in, "null", 4); lua_pushnil(L); return;
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
      decode_number(L, in);
      return;
    default: fail(L, in, in->at, "something that is no JSON value");
  }
}

static struct text scratch, encoded;

void pirn_decode(lua_State *L, const char *bytes, size_t length) {
  pirn_shrink(&scratch);
  struct input in = {bytes, bytes, bytes + length, &scratch};
  decode(L, &in, 0);
  skip_space(&in);
  if (in.at < in.end) fail(L, &in, in.at, "something after the value");
}

static int json_decode(lua_State *L) {
  size_t length;
  if (lua_type(L, 1) != LUA_TSTRING)
    return luaL_error(L, "json: expected a string to decode, not a %s", luaL_typename(L, 1));
  const char *bytes = lua_tolstring(L, 1, &length);
  pirn_decode(L, bytes, length);
  return 1;
}

static int json_encode(lua_State *L) {
  luaL_checkany(L, 1);
  pirn_shrink(&encoded);
  pirn_encode(L, 1, &encoded);
  lua_pushlstring(L, encoded.bytes, encoded.length);
  return 1;
}

int luaopen_json(lua_State *L) {
  static const luaL_Reg functions[] = {{"decode", json_decode}, {"encode", json_encode}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
