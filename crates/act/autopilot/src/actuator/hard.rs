//! Settings that no search may touch, whatever a space says: those that decide whether acknowledged data survive, and those that
//! decide who may do what or who gets to see what.
//!
//! Sources: PostgreSQL's manual, chapter 20 (server configuration), and Redis' `redis.conf` of version 7.

use kandela_tune::space::Class;

/// What a setting of PostgreSQL decides that no search may. The name counts in any spelling, as it does to PostgreSQL.
pub fn postgres(name: &str) -> Option<(Class, &'static str)> {
    find(&name.to_ascii_lowercase(), POSTGRES)
}

/// The same for a parameter of Redis.
pub fn redis(name: &str) -> Option<(Class, &'static str)> {
    find(&name.to_ascii_lowercase(), REDIS)
}

/// What a line of a configuration file decides that no search may, by the file's name and the line up to its value.
pub(crate) fn line(file: &str, line: &str) -> Option<(Class, &'static str)> {
    let name = line.split(|c: char| c.is_whitespace() || c == '=').find(|word| !word.is_empty())?;
    let file = file.to_ascii_lowercase();
    if file.contains("postgres") {
        postgres(name)
    } else if ["redis", "valkey"].iter().any(|server| file.contains(server)) {
        redis(name)
    } else {
        None
    }
}

/// A row of names with one reason. `*` at an end of a name stands for anything.
type Row = (Class, &'static str, &'static [&'static str]);

fn find(name: &str, rows: &[Row]) -> Option<(Class, &'static str)> {
    let fits = |pattern: &&str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
        (None, None) => name == *pattern,
    };
    let row = rows.iter().find(|(_, _, patterns)| patterns.iter().any(fits))?;
    Some((row.0, row.1))
}

const POSTGRES: &[Row] = &[
    (
        Class::Durability,
        "it decides whether a commit that was acknowledged is on disk",
        &[
            "fsync",
            "synchronous_commit",
            "synchronous_standby_names",
            "full_page_writes",
            "wal_sync_method",
            "data_sync_retry",
            "recovery_init_sync_method",
        ],
    ),
    (
        Class::Durability,
        "it decides whether damaged data are noticed",
        &[
            "data_checksums",
            "ignore_*",
            "zero_damaged_pages",
            "wal_consistency_checking",
            "wal_log_hints",
            "debug_*",
        ],
    ),
    (
        Class::Durability,
        "it decides what backups, standbys and recovery can rely on",
        &[
            "archive_*",
            "restore_command",
            "recovery_*",
            "wal_level",
            "wal_keep_size",
            "max_slot_wal_keep_size",
            "max_wal_senders",
            "max_replication_slots",
            "primary_*",
            "promote_trigger_file",
            "hot_standby",
            "hot_standby_feedback",
            "summarize_wal",
            "synchronized_standby_slots",
            "sync_replication_slots",
            "idle_replication_slot_timeout",
            "wal_sender_timeout",
            "wal_receiver_*",
            "max_standby_*",
            "basic_archive.*",
        ],
    ),
    (
        Class::Durability,
        "it decides what a transaction promises",
        &["default_transaction_*", "transaction_*", "session_replication_role", "row_security"],
    ),
    (
        Class::Durability,
        "without it transaction numbers run out, after which nothing more can be written",
        &[
            "autovacuum",
            // Autovacuum goes by what it counts.
            "track_counts",
            "autovacuum_freeze_max_age",
            "autovacuum_multixact_freeze_max_age",
            "vacuum_failsafe_age",
            "vacuum_multixact_failsafe_age",
        ],
    ),
    (
        Class::Security,
        "it decides who may connect, and how",
        &[
            "ssl*",
            "*_tls_*",
            "password_encryption",
            "scram_iterations",
            "hba_file",
            "ident_file",
            "config_file",
            "external_pid_file",
            "data_directory*",
            "krb_*",
            "gss_*",
            "db_user_namespace",
            "authentication_timeout",
            "auth_delay.*",
            "sepgsql.*",
            "reserved_connections",
            "superuser_reserved_connections",
            "listen_addresses",
            "port",
            "bonjour*",
            "unix_socket_*",
            "oauth_*",
            "role",
            "session_authorization",
            "is_superuser",
            "createrole_self_grant",
            "lo_compat_privileges",
            "allow_*",
            "event_triggers",
            "restrict_nonsystem_relation_kind",
            "search_path",
        ],
    ),
    (
        Class::Security,
        "it decides which code the server runs",
        &[
            "*_preload_libraries",
            "dynamic_library_path",
            "extension_control_path",
            "jit_provider",
            "*_command",
            "basebackup_to_shell.*",
            "check_function_bodies",
            "backslash_quote",
            "standard_conforming_strings",
            "plperl.*",
            "pltcl.*",
        ],
    ),
    (
        Class::Security,
        "it decides what the log holds, and who finds it there",
        &[
            "log_*",
            "logging_*",
            "syslog_*",
            "event_source",
            "pgaudit.*",
            "track_activities",
            "auto_explain.log_*",
        ],
    ),
];

const REDIS: &[Row] = &[
    (
        Class::Durability,
        "it decides whether a write that was acknowledged is on disk",
        &[
            "append*",
            "save",
            "aof-*",
            "no-appendfsync-on-rewrite",
            "auto-aof-rewrite-*",
            "rdb-save-*",
            "rdb-del-sync-files",
            // `shutdown-on-sigterm nosave` throws away what was not saved.
            "shutdown-*",
            "propagation-error-behavior",
        ],
    ),
    (
        Class::Durability,
        "it decides whether damaged data are noticed",
        &["rdbchecksum", "sanitize-dump-payload", "stop-writes-on-bgsave-error"],
    ),
    (Class::Durability, "it decides where data lie", &["dir", "dbfilename", "databases"]),
    (
        Class::Durability,
        "it decides what replicas hold, and when writes are taken",
        &[
            "replica*",
            "slave*",
            "min-replicas-*",
            "min-slaves-*",
            "repl-*",
            "masterauth",
            "masteruser",
            "cluster-*",
        ],
    ),
    (
        Class::Durability,
        "it decides whether keys that nobody let expire are thrown away",
        &["maxmemory-policy"],
    ),
    (
        Class::Security,
        "it decides who may connect, and what they may do",
        &[
            "requirepass",
            "acl*",
            "user",
            "protected-mode",
            "rename-command",
            "bind*",
            "port",
            "unixsocket*",
            "tls-*",
            "enable-*",
            "aclfile",
        ],
    ),
    (
        Class::Security,
        "it decides which code the server runs, and as what",
        &[
            "loadmodule",
            "module*",
            "include",
            "supervised",
            "pidfile",
            "daemonize",
            "proc-title-template",
            "lua-enable-*",
        ],
    ),
    (
        Class::Security,
        "it decides what the log holds, and who finds it there",
        &["log*", "syslog-*", "crash-*", "slowlog-*", "hide-user-data-from-log", "notify-keyspace-events"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_acknowledged_data_is_durability() {
        for name in [
            "fsync",
            "Synchronous_Commit",
            "full_page_writes",
            "wal_sync_method",
            "data_checksums",
            "archive_mode",
            "track_counts",
            "synchronized_standby_slots",
        ] {
            assert_eq!(postgres(name).map(|(class, _)| class), Some(Class::Durability), "{name}");
        }
        for name in
            ["appendonly", "appendfsync", "SAVE", "dir", "min-replicas-to-write", "shutdown-on-sigterm"]
        {
            assert_eq!(redis(name).map(|(class, _)| class), Some(Class::Durability), "{name}");
        }
    }

    #[test]
    fn what_keeps_others_out_is_security() {
        for name in [
            "ssl",
            "ssl_cert_file",
            "password_encryption",
            "hba_file",
            "log_statement",
            "shared_preload_libraries",
            "sepgsql.permissive",
            "basebackup_to_shell.command",
        ] {
            assert_eq!(postgres(name).map(|(class, _)| class), Some(Class::Security), "{name}");
        }
        for name in ["requirepass", "aclfile", "protected-mode", "rename-command", "bind", "tls-port"] {
            assert_eq!(redis(name).map(|(class, _)| class), Some(Class::Security), "{name}");
        }
    }

    #[test]
    fn what_only_costs_time_or_memory_may_be_searched() {
        for name in [
            "shared_buffers",
            "work_mem",
            "max_wal_size",
            "checkpoint_timeout",
            "random_page_cost",
            "wal_buffers",
            "jit",
        ] {
            assert_eq!(postgres(name), None, "{name}");
        }
        for name in [
            "maxmemory",
            "hz",
            "lazyfree-lazy-eviction",
            "io-threads",
            "activedefrag",
            "hash-max-listpack-entries",
        ] {
            assert_eq!(redis(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_hard_is_hard_in_a_file_that_the_server_reads() {
        assert_eq!(line("redis.conf", "appendfsync ").map(|found| found.0), Some(Class::Durability));
        assert_eq!(line("postgresql.conf", "  Fsync = '").map(|found| found.0), Some(Class::Durability));
        assert_eq!(line("redis.conf", "io-threads "), None);
        assert_eq!(line("nginx.conf", "user "), None);
    }
}
