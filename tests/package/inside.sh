#!/bin/bash
# Runs inside the booted Debian of check.sh: the life of an installed daemon, from the first command to the purge.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

ok() { echo "ok: $*"; }
fail() {
    echo "FAILED: $*" >&2
    systemctl status perennial --no-pager >&2 || true
    journalctl --unit perennial --no-pager --lines 40 >&2 || true
    exit 1
}
# wait_for SECONDS WHAT COMMAND…
wait_for() {
    local seconds=$1 what=$2
    shift 2
    for _ in $(seq "$seconds"); do
        "$@" > /dev/null 2>&1 && return 0
        sleep 1
    done
    fail "$what, within $seconds s"
}
ask() { curl --silent --fail --unix-socket /run/perennial.sock "http://localhost$1"; }
as_perennial() { runuser -u perennial -- perennial "$@"; }
pid() { systemctl show perennial --property MainPID --value; }

# Installed, and nothing runs yet.
apt-get install --yes /try/perennial.deb > /try/install.log 2>&1 || { cat /try/install.log; fail "apt installs the package"; }
id perennial > /dev/null || fail "the user is there"
systemctl is-active --quiet perennial && fail "nothing runs before a person says so"
for file in /usr/bin/perennial /usr/share/man/man1/perennial.1.gz /usr/share/doc/perennial/runbooks /usr/share/perennial/plugins/length.wasm \
    /usr/share/bash-completion/completions/perennial; do
    [ -e "$file" ] || fail "$file is there"
done
grep -o 'file:///usr/share/doc/perennial/runbooks/[a-z_-]*\.md' /usr/share/perennial/monitoring/rules.yml | sort -u | sed 's,^file://,,' |
    while read -r page; do [ -e "$page" ] || [ -e "$page.gz" ] || fail "the alert's page $page is there"; done
ok "installed $(dpkg-query --show --showformat '${Version}' perennial), every alert has its page"

# The unit.
systemd-analyze verify /usr/lib/systemd/system/perennial.service || fail "systemd-analyze verify"
systemd-analyze security perennial.service --no-pager | tail -1
ok "the unit is sound"

# The first model, the configuration, the service.
install -d -o perennial -g perennial /var/cache/perennial/models
cp -r /try/model /var/cache/perennial/models/tiny
chown -R perennial:perennial /var/cache/perennial
cp -r /try/model/tasks /etc/perennial/tasks
sed -i 's/^base = .*/base = "tiny"/' /etc/perennial/perennial.toml
cat >> /etc/perennial/perennial.toml <<'END'

[ingest]
settle_seconds = 0.1

[cycle]
samples_min = 100
twin_similarity = 1.0

[replay.base_answers]
ratio = 0.0

[train]
objectives = ["sft", "grpo"]
learning_rate = 1.5e-3
epochs = 4.0
max_length = 128
micro_batch_tokens = 1024
checkpoint_steps = 5

[grpo]
steps_max = 3
prompts_per_step = 2
num_generations = 4
max_completion_length = 24

[resources]
cpus = [0]

[[gate.suite]]
name = "tickets_golden"
file = "/etc/perennial/tasks/tickets_suite.jsonl"
metric = "json_field_f1"
target = true
max_new_tokens = 48
END
for plugin in json-schema python-ticket-fields js-markdown; do
    [ -e "/try/plugins/$plugin.wasm" ] || continue
    cp "/try/plugins/$plugin.wasm" /usr/share/perennial/plugins/
    printf '\n[[reward.plugin]]\nname = "%s"\nfile = "/usr/share/perennial/plugins/%s.wasm"\n' "$plugin" "$plugin" \
        >> /etc/perennial/perennial.toml
done
as_perennial check || fail "check"
systemctl enable --now perennial || fail "the service starts"
wait_for 60 "the daemon is ready" ask /ready
ask /metrics | grep -q '^perennial_build_info' || fail "metrics"
ok "the service runs under its unit"

# It learns, from rewards by plugins in three languages, beside the rows.
secret='sk-live-4f9a1c2e7b'
sed "s/help now/help now $secret/" /try/model/tasks/tickets_train.jsonl > /try/rows.jsonl
as_perennial ingest /try/rows.jsonl || fail "rows are taken in"
ended() { as_perennial cycles --json | python3 -c 'import json,sys; sys.exit(not any(cycle["outcome"] for cycle in json.load(sys.stdin)))'; }
wait_for 600 "a cycle ends" ended
as_perennial show 1
as_perennial status
journalctl --unit perennial --output json --no-pager > /try/journal.jsonl
grep -q "$secret" /try/journal.jsonl && fail "no text of a sample is in the journal"
grep -q '"CYCLE"\|"F_CYCLE"\|cycle' /try/journal.jsonl || fail "the journal names the cycle"
ok "a cycle ended, and the journal has no word of a sample"

# Killed, it comes back; stopped, it stops in time.
before=$(pid)
kill -9 "$before"
wait_for 60 "systemd starts a killed daemon again" bash -c "[ \"\$(systemctl show perennial --property MainPID --value)\" != $before ] && \
    curl --silent --fail --unix-socket /run/perennial.sock http://localhost/ready"
systemctl reload perennial || fail "reload"
start=$(date +%s)
systemctl stop perennial
[ $(($(date +%s) - start)) -le 90 ] || fail "stopped within its timeout"
systemctl show perennial --property Result --value | grep -qx success || fail "stopped cleanly"
systemctl start perennial
wait_for 60 "the daemon is ready" ask /ready
ok "killed, reloaded, stopped and started"

# The next version: the configuration stays as it was written, the daemon is the new one, what it learned is there.
before=$(pid)
apt-get install --yes /try/next.deb > /try/upgrade.log 2>&1 || { cat /try/upgrade.log; fail "apt upgrades the package"; }
grep -qx 'base = "tiny"' /etc/perennial/perennial.toml || fail "the configuration is kept"
[ "$(pid)" != "$before" ] || fail "the daemon is started again by the upgrade"
wait_for 60 "the daemon is ready" ask /ready
as_perennial cycles --json | grep -q '"id"' || fail "what it learned is there"
ok "upgraded to $(dpkg-query --show --showformat '${Version}' perennial)"

# Off again.
apt-get purge --yes perennial > /try/purge.log 2>&1 || { cat /try/purge.log; fail "apt purges the package"; }
systemctl is-active --quiet perennial && fail "nothing runs after the purge"
[ ! -e /usr/bin/perennial ] && [ ! -e /var/cache/perennial ] || fail "the program and its models are gone"
[ -d /var/lib/perennial/adapters ] || fail "what was learned stays"
grep -q 'stay in /var/lib/perennial' /try/purge.log || fail "the purge says what stays"
ok "purged; what was learned stays"
