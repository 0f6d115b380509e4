/* The parsed form of a template, and values; shared by parser, evaluation and functions. */
#pragma once

#include "cli/tmpl.h"

#include <stdbool.h>
#include <stdint.h>

enum operand_kind { OP_DOT, OP_VAR, OP_FUNC, OP_STR, OP_NUM, OP_BOOL, OP_NIL, OP_PIPE };

struct pipeline;

struct operand {
    enum operand_kind kind;
    const char *text;      /* variable, function, string, number; source text of fields */
    struct pipeline *pipe; /* OP_PIPE */
    struct strv fields;    /* chain behind it: .A.B */
    size_t pos;            /* where in the text, for messages */
};

struct cmd {
    struct operand **v;
    size_t n;
};

struct pipeline {
    struct strv vars; /* "$i, $v :=" */
    bool assign;      /* "=" instead of ":=" */
    VEC_OF(struct cmd *) cmds;
};

enum node_kind { N_TEXT, N_ACTION, N_IF, N_RANGE, N_WITH, N_BREAK, N_CONTINUE };

struct node {
    enum node_kind kind;
    const char *text;
    size_t len;
    struct pipeline *pipe;
    struct node *body, *otherwise;
    struct node *next;
};

struct tmpl {
    struct node *first;
    const char *text, *name;
};

enum val_kind { V_NIL, V_BOOL, V_INT, V_FLOAT, V_STR, V_JSON };

struct val {
    enum val_kind kind;
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;
        const struct json *j; /* array, object, number; V_NIL: the member that is null, or NULL */
    };
};

/* tmpl_val.c */
struct val val_of_json(const struct json *j);
bool val_true(const struct val *v);
void val_print(const struct val *v, struct buf *out);
const char *val_str(const struct val *v, struct arena *a);
/** val_num() - Return: false when it is no number. */
bool val_num(const struct val *v, double *ret);
/** val_field() - member of an object; -ENOENT. */
int val_field(const struct val *v, const char *name, struct val *ret);
/** val_absent() - what a member that docker's JSON leaves out when empty stands for; -ENOENT. */
int val_absent(const struct val *v, const char *name, struct arena *a, struct val *ret);

/* tmpl_func.c */
struct func_call {
    struct arena *arena;
    const struct tmpl_data *data;
    const char *name;
    struct val *args;
    size_t n;
};

bool func_exists(const char *name);
int func_call(const struct func_call *c, struct val *ret, struct err *err) MUST;
