/* Field tables of exec. */
#include "wire/exec.h"

static const struct field exec_create_request_fields[] = {
    FIELD(struct exec_create_request, "User", F_STR, user),
    FIELD(struct exec_create_request, "Privileged", F_BOOL, privileged),
    FIELD(struct exec_create_request, "Tty", F_BOOL, tty),
    FIELD(struct exec_create_request, "ConsoleSize", F_I64V, console_size, .flags = F_OMIT),
    FIELD(struct exec_create_request, "AttachStdin", F_BOOL, attach_stdin),
    FIELD(struct exec_create_request, "AttachStderr", F_BOOL, attach_stderr),
    FIELD(struct exec_create_request, "AttachStdout", F_BOOL, attach_stdout),
    FIELD(struct exec_create_request, "DetachKeys", F_STR, detach_keys),
    FIELD(struct exec_create_request, "Env", F_STRV, env),
    FIELD(struct exec_create_request, "WorkingDir", F_STR, working_dir),
    FIELD(struct exec_create_request, "Cmd", F_STRV, cmd),
};
const struct json_type exec_create_request_type =
    JSON_TYPE("ExecConfig", struct exec_create_request, exec_create_request_fields);

static const struct field exec_start_request_fields[] = {
    FIELD(struct exec_start_request, "Detach", F_BOOL, detach),
    FIELD(struct exec_start_request, "Tty", F_BOOL, tty),
    FIELD(struct exec_start_request, "ConsoleSize", F_I64V, console_size, .flags = F_OMIT),
};
const struct json_type exec_start_request_type =
    JSON_TYPE("ExecStartConfig", struct exec_start_request, exec_start_request_fields);

static const struct field exec_process_fields[] = {
    FIELD(struct exec_process_config, "tty", F_BOOL, tty),
    FIELD(struct exec_process_config, "entrypoint", F_STR, entrypoint),
    FIELD(struct exec_process_config, "arguments", F_STRV, arguments, .flags = F_EMPTY),
    FIELD(struct exec_process_config, "privileged", F_BOOLP, privileged, .flags = F_OMIT),
    FIELD(struct exec_process_config, "user", F_STR, user, .flags = F_OMIT),
};
static const struct json_type exec_process_type =
    JSON_TYPE("ProcessConfig", struct exec_process_config, exec_process_fields);

static const struct field exec_inspect_fields[] = {
    FIELD(struct exec_inspect, "ID", F_STR, id),
    FIELD(struct exec_inspect, "Running", F_BOOL, running),
    FIELD(struct exec_inspect, "ExitCode", F_I64P, exit_code),
    FIELD(struct exec_inspect, "ProcessConfig", F_OBJ, process, .type = &exec_process_type),
    FIELD(struct exec_inspect, "OpenStdin", F_BOOL, open_stdin),
    FIELD(struct exec_inspect, "OpenStderr", F_BOOL, open_stderr),
    FIELD(struct exec_inspect, "OpenStdout", F_BOOL, open_stdout),
    FIELD(struct exec_inspect, "CanRemove", F_BOOL, can_remove),
    FIELD(struct exec_inspect, "ContainerID", F_STR, container_id),
    FIELD(struct exec_inspect, "DetachKeys", F_STR, detach_keys),
    FIELD(struct exec_inspect, "Pid", F_I64, pid),
};
const struct json_type exec_inspect_type =
    JSON_TYPE("ExecInspect", struct exec_inspect, exec_inspect_fields);
