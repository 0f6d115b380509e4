/*
 * Plugins: programs beside the daemon that do part of its work, found by a file in a well-known
 * directory and asked over HTTP. NAME.sock (or NAME/NAME.sock) is their socket; NAME.spec has an
 * address, unix:// or tcp://, and NAME.json an address and the files of TLS. What is in those
 * directories root has put there; what a plugin answers is a stranger's word all the same.
 */
#pragma once

#include "base/json.h"
#include "base/str.h"

struct plugins;

/** plugins_new() - @dirs: searched in this order, borrowed; @timeout_s: for the longest of calls.
 */
int plugins_new(const struct strv *dirs, int64_t timeout_s, struct plugins **ret,
                struct err *err) MUST;
/** plugins_stop() - calls that go on, and later ones, end with -ECANCELED. */
void plugins_stop(struct plugins *ps);
/** plugins_free() - after the last call. NULL is fine. */
void plugins_free(struct plugins *ps);

/** plugin_find() - is there one of that name? Nobody is asked. Return: 0; -ENOENT: plugin "x" not
 * found; -EINVAL: its file is wrong. */
int plugin_find(struct plugins *ps, const char *name, struct err *err) MUST;
/** plugins_with() - names of those that do @what ("VolumeDriver"), sorted. Those that have not said
 * yet are asked, each for a moment; who does not answer is left out. */
void plugins_with(struct plugins *ps, const char *what, struct arena *a, struct strv *ret);
/** plugins_used() - the same, of those alone that have been called already. */
void plugins_used(struct plugins *ps, const char *what, struct arena *a, struct strv *ret);

struct plugin_call {
    const char *plugin, *method; /* "VolumeDriver.Mount" */
    bool slow;                   /* it may do real work: the whole time limit, not half of it */
    const struct json_type *in_type, *out_type;
    const void *in;
    void *out; /* zeroed by the caller */
};
/**
 * plugin_call() - ask, after the plugin has said what it does; one connection per call
 * Return: 0; -ENOENT no such plugin; -EREMOTEIO the plugin says no, in its own words; -ETIMEDOUT,
 * -ECONNREFUSED ...: it does not answer; -EBADMSG, -E2BIG: not as it should.
 */
int plugin_call(struct plugins *ps, const struct plugin_call *call, struct arena *a,
                struct err *err) MUST;
/** plugin_text() - a plugin's text as it may be shown: one line, of limited length. */
char *plugin_text(struct arena *a, const char *text);
