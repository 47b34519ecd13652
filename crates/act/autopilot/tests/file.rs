//! A real nginx, whose configuration is made from a template; and a service that reads its environment.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kandela_autopilot::actuator::ActuateError;
use kandela_model::{Epoch, KnobValue, Lease};

use common::{
    Described, Process, find, free_port, get, kill_at_every_step, one_at_a_time, skip, until, values, whole,
};

const LONG: Lease = Lease::For(Duration::from_secs(60));

struct Nginx {
    _server: Process,
    program: PathBuf,
    address: String,
    folder: tempfile::TempDir,
}

fn template(folder: &Path, address: &str) -> String {
    format!(
        "worker_processes 1;
pid {0}/nginx.pid;
error_log {0}/error.log;
events {{ worker_connections {{{{worker_connections}}}}; }}
http {{
  access_log off;
  client_body_temp_path {0}/t1; proxy_temp_path {0}/t2; fastcgi_temp_path {0}/t3; uwsgi_temp_path {0}/t4; scgi_temp_path {0}/t5;
  gzip {{{{gzip}}}};
  types_hash_max_size {{{{types_hash_max_size}}}};
  server {{ listen {address}; location / {{ return 200 '{{{{worker_connections}}}}'; }} }}
}}
",
        folder.display()
    )
}

impl Nginx {
    fn start() -> Option<Nginx> {
        let Some(program) = find("nginx", &["/usr/sbin"]) else {
            skip("nginx (Debian: nginx)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = format!("127.0.0.1:{}", free_port());
        let text = template(folder.path(), &address);
        fs::write(folder.path().join("template"), &text).expect("writable");
        let made = text.replace("{{worker_connections}}", "64").replace("{{gzip}}", "off");
        fs::write(folder.path().join("nginx.conf"), made.replace("{{types_hash_max_size}}", "1024"))
            .expect("writable");
        let child = Command::new(&program)
            .args(["-g", "daemon off;", "-e"])
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn();
        let nginx = Nginx { _server: Process(child.expect("starts")), program, address, folder };
        until("nginx answers", Duration::from_secs(10), || nginx.served() == "64");
        Some(nginx)
    }

    /// What the workers that are in force answer.
    fn served(&self) -> String {
        get(&self.address, "/").map(|(_, body)| body).unwrap_or_default()
    }

    fn conf(&self) -> String {
        fs::read_to_string(self.folder.path().join("nginx.conf")).expect("readable")
    }

    fn described(&self, reload: &str) -> Described {
        let (program, folder) = (self.program.display(), self.folder.path().display());
        Described::new(&format!(
            "file:
  template: {folder}/template
  file: {folder}/nginx.conf
  check: [{program}, -t, -q, -e, {folder}/check.log, -c, '{{{{candidate}}}}']
  reload: {reload}
  health: {{url: 'http://{}/', timeout_s: 5}}
  knobs:
    worker_connections: {{type: int, min: 1, max: 100000, cost: reload}}
    gzip: {{type: enum, values: [on, off, maybe], cost: reload}}
    types_hash_max_size: {{type: int, min: 1, max: 100000, cost: reload}}",
            self.address
        ))
    }

    fn reload(&self) -> String {
        let folder = self.folder.path().display();
        format!("[{}, -e, {folder}/error.log, -c, {folder}/nginx.conf, -s, reload]", self.program.display())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The workers outlive a master that is killed.
        let folder = self.folder.path();
        let _ = Command::new(&self.program)
            .arg("-e")
            .arg(folder.join("error.log"))
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .args(["-s", "stop"])
            .stderr(Stdio::null())
            .status();
        let gone = || !folder.join("nginx.pid").exists();
        until("nginx has ended", Duration::from_secs(5), gone);
    }
}

#[tokio::test]
async fn managers_of_different_folders_turn_it_one_at_a_time() {
    let Some(nginx) = Nginx::start() else { return };
    let it = nginx.described(&nginx.reload());
    one_at_a_time(&it, &values(&[("worker_connections", whole(128))])).await;
}

#[tokio::test]
async fn a_file_is_made_from_its_template_checked_and_read_again() {
    let Some(nginx) = Nginx::start() else { return };
    let it = nginx.described(&nginx.reload());
    let actuator = it.open().await;
    let two = values(&[("worker_connections", whole(128)), ("gzip", KnobValue::Choice("on".into()))]);
    actuator.apply(&two, Epoch(1), LONG).await.expect("is taken");
    until("the new file is in force", Duration::from_secs(3), || nginx.served() == "128");
    assert!(nginx.conf().contains("gzip on;"));

    let before = nginx.conf();
    let bad = values(&[("worker_connections", whole(256)), ("gzip", KnobValue::Choice("maybe".into()))]);
    let error = actuator.apply(&bad, Epoch(1), LONG).await.expect_err("nginx knows no such word").to_string();
    assert!(error.contains("invalid value \"maybe\""), "{error}");
    assert_eq!(nginx.conf(), before, "not a byte of it was put in place");

    actuator
        .revert(&["worker_connections".to_owned(), "gzip".to_owned()], Epoch(1))
        .await
        .expect("goes back");
    until("the old file is in force", Duration::from_secs(3), || nginx.served() == "64");
    let left: Vec<_> = fs::read_dir(nginx.folder.path())
        .expect("readable")
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .collect();
    assert!(!left.iter().any(|name| name.contains("kandela-new")), "{left:?}");
}

#[tokio::test]
async fn a_file_with_which_the_reload_fails_is_put_back() {
    let Some(nginx) = Nginx::start() else { return };
    let conf = nginx.folder.path().join("nginx.conf");
    let reload = nginx.reload().replace(['[', ']', ','], "");
    let picky = format!(
        "{{shell: \"if grep -q 'worker_connections 99;' {}; then echo too odd; exit 1; fi; {reload}\"}}",
        conf.display()
    );
    let it = nginx.described(&picky);
    let actuator = it.open().await;
    let before = nginx.conf();
    let error =
        actuator.apply(&values(&[("worker_connections", whole(99))]), Epoch(1), LONG).await.expect_err("odd");
    assert!(
        matches!(error, ActuateError::Failed { .. }) && error.to_string().ends_with("too odd"),
        "{error}"
    );
    assert_eq!(nginx.conf(), before);
    assert_eq!(nginx.served(), "64");
}

#[tokio::test]
async fn a_file_that_somebody_else_has_changed_is_not_written_over() {
    let Some(nginx) = Nginx::start() else { return };
    let it = nginx.described(&nginx.reload());
    let actuator = it.open().await;
    let theirs = nginx.conf().replace("access_log off;", "access_log off; server_tokens off;");
    fs::write(nginx.folder.path().join("nginx.conf"), &theirs).expect("writable");
    let error = actuator
        .apply(&values(&[("worker_connections", whole(128))]), Epoch(1), LONG)
        .await
        .expect_err("theirs");
    assert!(error.to_string().contains("line 6 is not what the template gives"), "{error}");
    assert_eq!(nginx.conf(), theirs);
}

#[test]
fn a_file_that_somebody_takes_in_the_middle_of_a_trial_is_left_to_them() {
    let Some(nginx) = Nginx::start() else { return };
    let it = nginx.described(&nginx.reload());
    let mut manager = it.hold(r#"{"worker_connections": 128}"#, 30.0, 1);
    let theirs = nginx.conf().replace("access_log off;", "access_log off; server_tokens off;");
    fs::write(nginx.folder.path().join("nginx.conf"), &theirs).expect("writable");
    manager.kill();
    until("its watchdog lets go", Duration::from_secs(5), || !it.is_pending());
    assert_eq!(nginx.conf(), theirs);
    let proposed =
        fs::read_to_string(nginx.folder.path().join("nginx.conf.kandela-proposed")).expect("written");
    assert_eq!(proposed, "worker_connections = 64\n");
    let reports = kandela_autopilot::watchdog::reports(&it.watch().folder, "it").expect("readable");
    assert!(
        reports[0].error.as_deref().is_some_and(|error| error.contains("line 6 is not what")),
        "{reports:?}"
    );
}

#[test]
fn the_confirmed_file_is_back_whoever_is_killed_at_whatever_step() {
    let Some(nginx) = Nginx::start() else { return };
    let it = nginx.described(&nginx.reload());
    let trial = r#"{"worker_connections": 128}"#;
    kill_at_every_step(&it, "64", trial, || nginx.served(), Duration::from_millis(250));
    assert!(nginx.conf().contains("worker_connections 64;"));
}

/// A Redis that takes its memory from an environment file, as a container would.
struct Service {
    folder: tempfile::TempDir,
    port: u16,
}

impl Service {
    fn start() -> Option<Service> {
        if find("redis-server", &[]).is_none() || find("redis-cli", &[]).is_none() {
            skip("redis-server and redis-cli (Debian: redis-server)");
            return None;
        }
        let (folder, port) = (tempfile::tempdir().expect("a temporary folder"), free_port());
        fs::write(folder.path().join("env"), "# ours\nMAXMEMORY=10000000\nOTHER='kept as it is'\n")
            .expect("writable");
        let restart = format!(
            "set -e; cd {}; . ./env; redis-cli -p {port} shutdown nosave 2>/dev/null || true\n\
             redis-server --port {port} --bind 127.0.0.1 --save '' --daemonize yes --hz ${{HZ:-10}} --maxmemory $MAXMEMORY --dir .",
            folder.path().display()
        );
        fs::write(folder.path().join("restart.sh"), restart).expect("writable");
        let service = Service { folder, port };
        let ran =
            Command::new("sh").arg(service.folder.path().join("restart.sh")).stdout(Stdio::null()).status();
        assert!(ran.expect("runs").success());
        until("the service answers", Duration::from_secs(5), || service.parameter("maxmemory") == "10000000");
        Some(service)
    }

    fn parameter(&self, name: &str) -> String {
        let output =
            Command::new("redis-cli").args(["-p", &self.port.to_string(), "config", "get", name]).output();
        let text = String::from_utf8(output.expect("runs").stdout).expect("text");
        text.lines().nth(1).unwrap_or_default().to_owned()
    }

    fn described(&self) -> Described {
        let folder = self.folder.path().display();
        Described::new(&format!(
            "environment:
  file: {folder}/env
  restart: [sh, {folder}/restart.sh]
  health: {{command: [redis-cli, -e, -p, '{}', ping], timeout_s: 5}}
  knobs:
    MAXMEMORY: {{type: int, min: 1, max: 100000000, cost: restart}}
    HZ: {{type: enum, values: ['10', '50', bad], default: '10', cost: restart}}",
            self.port
        ))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("redis-cli").args(["-p", &self.port.to_string(), "shutdown", "nosave"]).output();
    }
}

#[tokio::test]
async fn a_service_that_does_not_start_with_its_new_environment_is_brought_back() {
    let Some(service) = Service::start() else { return };
    let it = service.described();
    let actuator = it.open().await;
    let both = values(&[("MAXMEMORY", whole(20_000_000)), ("HZ", KnobValue::Choice("50".into()))]);
    actuator.apply(&both, Epoch(1), LONG).await.expect("restarts");
    assert_eq!((service.parameter("maxmemory"), service.parameter("hz")), ("20000000".into(), "50".into()));

    let error = actuator.apply(&values(&[("HZ", KnobValue::Choice("bad".into()))]), Epoch(1), LONG).await;
    let error = error.expect_err("no such pace");
    assert!(matches!(error, ActuateError::Failed { .. }), "{error}");
    assert_eq!(service.parameter("hz"), "50");

    actuator.revert(&["MAXMEMORY".to_owned(), "HZ".to_owned()], Epoch(1)).await.expect("goes back");
    assert_eq!((service.parameter("maxmemory"), service.parameter("hz")), ("10000000".into(), "10".into()));
    let env = fs::read_to_string(service.folder.path().join("env")).expect("readable");
    assert_eq!(env, "# ours\nMAXMEMORY=10000000\nOTHER='kept as it is'\n");
}

#[test]
fn the_confirmed_environment_is_back_when_the_manager_is_killed() {
    let Some(service) = Service::start() else { return };
    let it = service.described();
    let mut manager = it.hold(r#"{"MAXMEMORY": 20000000}"#, 30.0, 1);
    assert_eq!(service.parameter("maxmemory"), "20000000");
    manager.kill();
    let back = until("back", Duration::from_secs(5), || {
        service.parameter("maxmemory") == "10000000" && !it.is_pending()
    });
    eprintln!("environment and service are back {} ms after the manager was killed", back.as_millis());
}
