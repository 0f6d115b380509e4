/*
 * JSON by descriptor. A type is a C struct plus a table of fields; one codec decodes, validates,
 * encodes and deep-copies all of them. There is no hand-written JSON code for single types.
 *
 * Three layers, each usable alone:
 *   - json_w_*: a streaming writer into a struct buf;
 *   - struct json: a parsed tree in an arena, for text whose shape is not known beforehand;
 *   - struct json_type: the codec between text and structs.
 *
 * Input is strict (RFC 8259): UTF-8, no duplicate keys, at most JSON_DEPTH levels. Errors are of
 * kind invalid and name the place: "HostConfig.Memory: want a number, got a string".
 * Output escapes as Go's encoding/json does, since clients compare it: <, > and & as \u003c ...
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH 64

/* ---- fields ---- */

enum field_kind {
    F_BOOL,    /* bool */
    F_I32,     /* int32_t */
    F_U32,     /* uint32_t */
    F_I64,     /* int64_t */
    F_U64,     /* uint64_t */
    F_F64,     /* double */
    F_STR,     /* char *; NULL encodes as "" (or null with F_NULL) */
    F_BOOLP,   /* bool *; NULL is null */
    F_I64P,    /* int64_t *; NULL is null */
    F_U32P,    /* uint32_t *; NULL is null */
    F_RAW,     /* struct json_raw: any value, its text kept byte for byte */
    F_STRV,    /* struct strv: list of strings */
    F_I64V,    /* VEC_OF(int64_t): list of numbers */
    F_STRMAP,  /* struct strmap: object of strings; written sorted by key, as Go does */
    F_SETMAP,  /* struct strv: object whose values are all {}; written sorted by key */
    F_OBJ,     /* struct, embedded */
    F_PTR,     /* struct *; NULL is null */
    F_OBJV,    /* VEC_OF(struct x *): list of objects */
    F_OBJMAP,  /* MAP_OF(struct x *): object of objects; written sorted by key */
    F_OBJVMAP, /* MAP_OF(struct objv *): object of lists of objects (port maps); null list = NULL */
    F_STRVV,   /* VEC_OF(struct strv): list of lists of strings */
    F_STRVMAP, /* MAP_OF(struct strv *): object of lists of strings */
};

enum field_flags {
    F_OMIT = 1,     /* leave out when empty: "", 0, false, NULL, no elements (Go's omitempty) */
    F_REQUIRED = 2, /* decoding fails without it */
    F_NULL = 4,     /* F_STR: NULL encodes as null */
    F_EMPTY = 8,    /* lists and maps: null encodes as [] or {} */
    F_FLEX = 16,    /* F_STRV: a lone string is taken as a list of one (Cmd, Entrypoint);
                       F_STR: a number is taken as its text; F_I64: a numeric string is taken */
    F_SECRET = 32,  /* never logged */
};

/* A list whose elements are of type T. v == NULL is null, v != NULL with n == 0 is []. */
#define VEC_OF(T)                                                                                  \
    struct {                                                                                       \
        T *v;                                                                                      \
        size_t n;                                                                                  \
    }

/* A map from string to T, in insertion order. */
#define MAP_OF(T)                                                                                  \
    struct {                                                                                       \
        struct {                                                                                   \
            char *key;                                                                             \
            T val;                                                                                 \
        } * v;                                                                                     \
        size_t n;                                                                                  \
    }

/* The untyped shape of every VEC_OF(struct x *), as the codec sees it. */
struct objv {
    void **v;
    size_t n;
};

struct json_raw {
    char *text; /* NULL: absent */
    size_t len;
};

struct json_type;

struct field {
    const char *name;
    enum field_kind kind;
    unsigned flags;
    size_t offset;
    const struct json_type *type; /* element type of F_OBJ, F_PTR, F_OBJV, F_OBJMAP, F_OBJVMAP */
};

struct json_type {
    const char *name; /* for error texts: "HostConfig" */
    size_t size;
    const struct field *fields;
    size_t nfields;
    size_t
        unknown; /* offset of a struct strmap that keeps unknown members as raw text + 1; 0: drop */
};

#define FIELD(T, NAME, KIND, MEMBER, ...)                                                          \
    {                                                                                              \
        .name = (NAME), .kind = (KIND), .offset = offsetof(T, MEMBER), __VA_ARGS__                 \
    }
/* FIELD(struct mount_point, "Propagation", F_STR, propagation, .flags = F_OMIT)
 * FIELD(struct x, "Driver", F_PTR, driver, .type = &driver_type) */

#define JSON_TYPE(NAME, T, FIELDS)                                                                 \
    {                                                                                              \
        .name = (NAME), .size = sizeof(T), .fields = (FIELDS),                                     \
        .nfields = sizeof(FIELDS) / sizeof((FIELDS)[0])                                            \
    }

enum json_flags {
    JSON_STRICT = 1, /* unknown keys are errors (daemon.json); otherwise they are dropped */
    JSON_NOCASE = 2, /* keys match in any case, as Go does (API requests) */
};

/**
 * json_decode() - text to struct
 * @text: @len bytes, need not be NUL-terminated
 * @a: everything the struct points to lives here
 * @out: a struct of @type, zeroed (or holding defaults) by the caller; untouched on failure only
 *       if the failure is in the syntax
 * Return: 0, or -EINVAL with the path of the bad member in the message.
 */
int json_decode(const struct json_type *type, const char *text, size_t len, struct arena *a,
                void *out, unsigned flags, struct err *err) MUST;

/** json_encode() - struct to text, appended to @out; cannot fail. */
void json_encode(const struct json_type *type, const void *obj, struct buf *out);

/** json_clone() - deep copy into @a. */
void *json_clone(const struct json_type *type, const void *obj, struct arena *a);

/** json_encode_pretty() - re-indent the JSON in @text (valid) into @out; Go's MarshalIndent. */
void json_pretty(const char *text, size_t len, const char *prefix, const char *indent,
                 struct buf *out);

/* ---- tree ---- */

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json {
    enum json_kind kind;
    uint32_t n;                /* STRING, NUMBER: bytes of text; ARRAY, OBJECT: children */
    const char *text;          /* STRING: unescaped; NUMBER: as written; NUL-terminated */
    const char *key;           /* member name, NULL in an array */
    struct json *child, *next; /* first child, next sibling; order as in the text */
    const char *raw;           /* where its text starts in the input; @raw_len bytes */
    size_t raw_len;
};

/**
 * json_parse() - text to tree
 * The tree points into @text for raw, and into @a for everything else; @text must outlive raw uses.
 */
int json_parse(const char *text, size_t len, struct arena *a, struct json **ret,
               struct err *err) MUST;
/** json_get() - member by exact name, or NULL (also when @j is NULL or no object). */
const struct json *json_get(const struct json *j, const char *key);
/** json_str() - text of a string member, or NULL. json_num(): value of a number, or @otherwise. */
const char *json_str(const struct json *j, const char *key);
double json_num(const struct json *j, double otherwise);
/** json_i64() - integer value; -EINVAL when it is no number, has a fraction or does not fit. */
int json_i64(const struct json *j, int64_t *ret) MUST;
/** json_write() - tree back to compact text. */
void json_write(const struct json *j, struct buf *out);

/* ---- writer ---- */

/* Writes commas and colons by itself; nesting is the caller's duty. */
struct json_w {
    struct buf *out;
    bool comma; /* the next value needs one before it */
};

void json_w_obj(struct json_w *w);     /* { */
void json_w_end_obj(struct json_w *w); /* } */
void json_w_arr(struct json_w *w);
void json_w_end_arr(struct json_w *w);
void json_w_key(struct json_w *w, const char *key);
void json_w_str(struct json_w *w, const char *s); /* NULL writes null; bad UTF-8 becomes U+FFFD */
void json_w_strn(struct json_w *w, const char *s, size_t n);
void json_w_i64(struct json_w *w, int64_t v);
void json_w_u64(struct json_w *w, uint64_t v);
void json_w_f64(struct json_w *w, double v); /* shortest text that reads back equal, as Go */
void json_w_bool(struct json_w *w, bool v);
void json_w_null(struct json_w *w);
void json_w_raw(struct json_w *w, const char *text, size_t len);
/** json_w_type() - an object of @type as the next value. */
void json_w_type(struct json_w *w, const struct json_type *type, const void *obj);
/** json_quote() - append @s as a JSON string. */
void json_quote(struct buf *out, const char *s, size_t n);
