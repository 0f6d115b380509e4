/* Field tables of the portable configuration; the list itself is in fields-priv.h. */
#include "wire/config.h"

#include "wire/fields-priv.h"

static const struct field healthcheck_fields[] = {
    FIELD(struct healthcheck, "Test", F_STRV, test, .flags = F_OMIT),
    FIELD(struct healthcheck, "Interval", F_I64, interval_ns, .flags = F_OMIT),
    FIELD(struct healthcheck, "Timeout", F_I64, timeout_ns, .flags = F_OMIT),
    FIELD(struct healthcheck, "StartPeriod", F_I64, start_period_ns, .flags = F_OMIT),
    FIELD(struct healthcheck, "StartInterval", F_I64, start_interval_ns, .flags = F_OMIT),
    FIELD(struct healthcheck, "Retries", F_I64, retries, .flags = F_OMIT),
};
const struct json_type healthcheck_type =
    JSON_TYPE("Healthcheck", struct healthcheck, healthcheck_fields);

static const struct field container_config_fields[] = {
    CONTAINER_CONFIG_FIELDS(struct container_config, ),
};
const struct json_type container_config_type =
    JSON_TYPE("Config", struct container_config, container_config_fields);
