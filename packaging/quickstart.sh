#!/bin/sh
# From a fresh clone to results in one command: installs what is missing, builds, starts a simulated server and a daemon of its
# own in a temporary folder, submits a dozen requests, registers them, waits, prints the results, and leaves nothing running.
#
# usage: sh packaging/quickstart.sh
set -eu
cd "$(dirname "$0")/.."
build=build/release
limit=60 # seconds that anything here may take at the most

say() {
	printf '\n\033[1m== %s\033[0m\n' "$*"
}
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }

say "packages"
sh packaging/dependencies.sh run

say "building"
cmake --preset release >/dev/null
cmake --build --preset release --target tinkexd tinkexctl tinker-sim

place=$(mktemp -d "${TMPDIR:-/tmp}/tinkexd-quickstart.XXXXXX")
chmod 700 "$place"
daemon='' server='' waiting=''
cleanup() {
	status=$?
	trap - EXIT
	for process in $waiting $daemon $server; do
		kill "$process" 2>/dev/null || true
		wait "$process" 2>/dev/null || true
	done
	if [ "$status" -ne 0 ]; then
		echo "quickstart failed ($status); the daemon's last words:" >&2
		tail -n 20 "$place/tinkexd.log" 2>/dev/null >&2 || true
	fi
	rm -rf "$place"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# wait_for COMMAND...: until it succeeds, at most $limit seconds.
wait_for() {
	end=$(($(date +%s) + limit))
	until "$@" >/dev/null 2>&1; do
		if [ "$(date +%s)" -ge "$end" ]; then
			echo "still not there after $limit s: $*" >&2
			return 1
		fi
		sleep 0.05
	done
}

# Only what is started here may be spoken to.
unset TINKER_BASE_URL TINKEXD_CONFIG TINKEX_ENDPOINT
export TINKEXD_SOCKET="$place/tinkexd.sock"
key=tml-quickstart
ctl=$build/client/tinkexctl

say "a simulated Tinker server and a tinkexd that polls it"
$build/tests/sim/tinker-sim --mode lifelike --require-key "$key" --port-file "$place/port" \
	--min-ms 1500 --max-ms 5000 --fail-percent 15 --hold-ms 2000 --seed 7 >"$place/server.log" 2>&1 &
server=$!
wait_for test -s "$place/port"
url=http://127.0.0.1:$(cat "$place/port")
cat >"$place/tinkexd.conf" <<CONF
[endpoint default]
base_url = $url
api_key_file = $place/key
backoff_max = 2s ; a demonstration should not take longer than it must
CONF
(umask 077 && printf '%s\n' "$key" >"$place/key")
$build/daemon/tinkexd --config "$place/tinkexd.conf" --state-dir "$place/state" >"$place/tinkexd.log" 2>&1 &
daemon=$!
wait_for "$ctl" ping
"$ctl" endpoints

say "a dozen requests, submitted with curl, registered with tinkexctl"
post() {
	curl -sS --fail --max-time "$limit" -H "X-API-Key: $key" -H 'Content-Type: application/json' -d "$2" "$url/api/v1/$1"
}
field() {
	sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p"
}
session=$(post create_session '{}' | field session_id)
sampler=$(post create_sampling_session "{\"session_id\":\"$session\",\"base_model\":\"demo\"}" | field sampling_session_id)
ids=''
# submit KIND PATH BODY: the server's answer goes straight into `register`, which takes the request id out of it.
submit() {
	answer=$(post "$2" "$3")
	id=$(printf '%s' "$answer" | "$ctl" register --response - --request-type "$1" --metadata "kind=$1")
	printf '%-16s %s\n' "$1" "$id"
	ids="$ids $id"
}
submit CreateModel create_model "{\"session_id\":\"$session\",\"base_model\":\"demo\"}"
model=$(printf '%s' "$answer" | field model_id)
for n in 1 2 3 4 5 6; do
	submit Sample asample "{\"sampling_session_id\":\"$sampler\",\"seq_id\":$n,\"num_samples\":1,\"prompt\":{\"chunks\":[]},\"sampling_params\":{\"max_tokens\":8}}"
done
for n in 1 2; do
	submit ForwardBackward forward_backward "{\"model_id\":\"$model\",\"seq_id\":$n}"
	submit OptimStep optim_step "{\"model_id\":\"$model\",\"seq_id\":$n}"
done
submit SaveWeights save_weights "{\"model_id\":\"$model\",\"seq_id\":3}"

say "what is being polled, and why it waits"
paused() {
	"$ctl" list | grep -q paused
}
wait_for paused || true
"$ctl" list

say "waiting for all of them (the daemon polls; this process only listens)"
# On a terminal `await` shows a progress line of its own; elsewhere this does.
# shellcheck disable=SC2086
"$ctl" await --no-register $ids >"$place/results" &
waiting=$!
while kill -0 "$waiting" 2>/dev/null; do
	[ -t 2 ] || printf '%s of 12 have ended; the others: %s\n' "$(wc -l <"$place/results")" \
		"$("$ctl" list 2>/dev/null | awk 'NR > 1 { n[$3]++ } END { for (s in n) printf "%d %s  ", n[s], s }')"
	sleep 1
done
# Some of the simulated requests fail, as real ones do: that is not this script's failure.
wait "$waiting" || [ $? -eq 1 ]
cat "$place/results"

say "done; shutting down"
kill "$daemon" && wait "$daemon"
daemon=''
cat <<END
Nothing is left running. To use it with a real server:

  export TINKER_API_KEY=tml-...            # or api_key_file in ~/.config/tinkexd/tinkexd.conf
  $build/daemon/tinkexd &                  # base_url: the service's, unless TINKER_BASE_URL says otherwise
  $ctl await REQUEST-ID...

README.md goes on from here.
END
