//! Goal: SIGHUP changes what may change, names what waits, and a bad file changes
//! nothing.

use super::*;

fn reload_with(before: &str, after: &str) -> Result<Reloaded, ConfigErrors> {
    let running = load_dev(before, &[], &[]).unwrap();
    reload(&args(dev(), &[]), &source(after, &[]), &running)
}

#[test]
fn what_may_change_changes_and_the_rest_waits() {
    let after = "hubs.queue = 99\nlimits.outbox_events = 99\ntelemetry.log_level = 'debug'\n\
                 [[internal.api_keys]]\nname = 'new'\nkey = '0123456789abcdef'";
    let reloaded = reload_with("hubs.queue = 77\nlimits.outbox_events = 77", after).unwrap();
    let config = &reloaded.loaded.config;
    assert_eq!(reloaded.restart_needed, ["hubs.queue"]);
    assert_eq!((config.hubs.queue, config.limits.outbox_events), (77, 99));
    assert_eq!(config.telemetry.log_level, "debug");
    assert_eq!(config.internal.api_keys[0].name, "new");
    // The next reload compares with what runs, not with what waits.
    let again = reload(&args(dev(), &[]), &source(after, &[]), &reloaded.loaded).unwrap();
    assert_eq!(again.restart_needed, ["hubs.queue"]);
}

#[test]
fn a_bad_file_changes_nothing() {
    let errors = reload_with("", "limits.outbox_events = 0\nhubs.queue = 0").unwrap_err();
    assert_eq!(errors.0.len(), 2);
}

#[test]
fn new_values_must_fit_the_old_ones_that_stay() {
    // Cookies can change now, the origins only after a restart.
    let before = "public.allowed_origins = ['*']\nauth.cookie = ''";
    let errors = reload_with(before, "auth.cookie = 'c'").unwrap_err();
    assert_eq!(errors.0[0].key, "public.allowed_origins");
}
