/* What firewall.c, firewall_table.c and firewall_host.c share. */
#pragma once

#include "base/hash.h"
#include "base/json.h"
#include "network/firewall.h"

#include <pthread.h>

struct buf;
struct map;
struct nft_ctx;

struct firewall {
    struct nft_ctx *nft; /* NULL: switched off */
    pthread_mutex_t lock;
    char table[IFNAMSIZ + 16];
    char rules[DIGEST_LEN + 1]; /* of their text */
    uint32_t port_id;
    struct map *wanted; /* elements, "SET KEY" or "SET KEY : VALUE"; values mean nothing */
    bool synced;
    bool override; /* the host's FORWARD chain lets our networks pass */
};

/** fw_run() - a libnftables context serves one caller at a time: lock held. */
int fw_run(struct firewall *f, const char *commands, const char *what, struct err *err) MUST;
/** fw_list() - the objects that a "list" command names; lock held.
 * Return: 1 with *ret in @a (the array "nftables"); 0 what is listed does not exist. */
int fw_list(struct firewall *f, const char *command, struct arena *a, const struct json **ret,
            struct err *err) MUST;
/** fw_host_sync() - the rules in the host's own chains; lock held. Return: 1 changed, 0. */
int fw_host_sync(struct firewall *f, struct err *err) MUST;
/** fw_host_remove() - all of them; lock held. */
int fw_host_remove(struct firewall *f, struct err *err) MUST;
/** fw_put_rules() - commands that make an empty table with all its rules. */
void fw_put_rules(struct buf *out, const char *table);
/** fw_put_element() - the command for an element as it stands in wanted. @verb: "add", "delete" */
void fw_put_element(struct buf *out, const char *verb, const char *table, const char *element);
/** fw_sync_table() - fw_sync() with the lock held. */
int fw_sync_table(struct firewall *f, struct err *err) MUST;
