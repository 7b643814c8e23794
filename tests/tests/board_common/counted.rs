//! KVM's counters of running streams, as the board reads them, and what the guests count themselves.
//!
//! ```text
//!  board: "guest: plays" ── a while ──► counters ── a window ──► counters       guest: its interrupts, messages, latencies at the end
//! ```

use std::collections::BTreeMap;

use super::CODEC_PERIOD;

/// Counters that a running stream leaves alone. `stores` are accesses to devices' memory that KVM's emulator carries out, those that
/// never leave the kernel too: each kick is one, and in the service VM each doorbell.
pub const QUIET: [&str; 3] = ["io_exits", "mmio_exits", "stores"];
const SHOWN: [&str; 5] = ["exits", "halt_exits", "irq_exits", "irq_injections", "stores"];

/// Between a guest's line and its first counters: aplay is read from its file system and starts the stream.
const SETTLED: f64 = 1.6;

/// For [`super::scene`]'s board: counts each of these partitions for so many seconds, from a while after its line.
pub fn beside(lines: &[(&str, &str)], seconds: f64) -> String {
    let mut script = String::from(
        r#"
mount -t tracefs tracing /sys/kernel/tracing
cd /sys/kernel/tracing
echo boot > trace_clock
echo 16384 > buffer_size_kb
echo 1 > events/kvm/kvm_mmio/enable
uptime_s() { cut -d' ' -f1 /proc/uptime; }
counted() {
    echo "counted $1 $(uptime_s) $(grep -H '' exits io_exits mmio_exits halt_exits irq_exits irq_injections | tr '\n' ' ')"
}
counts() {
    # Each look is work on a processor of the partitions'.
    until grep -q "$3" "$run/$2.console"; do sleep 0.5; done
    sleep @SETTLED@
    read -r pid _ < "$run/$1.pid"
    tasks=$(echo /proc/$pid/task/*)
    cd "/sys/kernel/debug/kvm/$pid-"* || return
    first=$(counted "$1")
    sleep @SECONDS@
    echo "$first"
    counted "$1"
    echo "tasks $1 ${tasks//\/proc\/$pid\/task\//}"
}
# How many stores in each one's time. A guest's of 0 are of a queue 0: an entropy device's, which the kernel asks when it likes.
stores() {
    cat /sys/kernel/tracing/trace | awk '
        FILENAME != "-" && $1 == "counted" { if ($2 in from) to[$2] = $3; else from[$2] = $3 }
        FILENAME != "-" && $1 == "tasks" { for (n = 3; n <= NF; n++) owner[$n] = $2 }
        FILENAME == "-" && match($0, /-[0-9]+ +\[/) {
            task = substr($0, RSTART + 1, RLENGTH - 2) + 0
            for (n = 1; n < NF; n++) if ($(n + 1) == "kvm_mmio:") at = $n + 0
            who = owner[task]
            streams = who == "audio" || $NF != "0x0"
            if (streams && who != "" && at > from[who] && at < to[who]) sum[who]++
        }
        END { for (who in from) print "stores " who " " sum[who] + 0 }' /run/beside -
}
"#,
    );
    script = script.replace("@SETTLED@", &SETTLED.to_string());
    script = script.replace("@SECONDS@", &format!("{seconds:.1}"));
    for (name, line) in lines {
        // The service VM is counted while the first of its guests is.
        let console = if *name == "audio" { lines[0].0 } else { name };
        script += &format!("counts {name} {console} '{line}' &\n");
    }
    script + "wait\nstores"
}

/// How much a partition's counters grew, and in which time of the board.
#[derive(Debug)]
pub struct Grown {
    pub seconds: f64,
    by: BTreeMap<String, u64>,
}

impl Grown {
    /// From the board's log.
    pub fn of(log: &str, name: &str) -> Self {
        let head = format!("counted {name} ");
        let looks: Vec<_> = log
            .lines()
            .filter_map(|line| line.split(&head).nth(1))
            .map(look)
            .collect();
        let [(from, before), (to, after)] = &looks[..] else {
            panic!("{name}: {} looks at its counters: {log}", looks.len());
        };
        let by = after.iter().map(|(key, value)| (key.clone(), value - before[key]));
        let head = format!("stores {name} ");
        let stores = log
            .lines()
            .find_map(|line| line.strip_prefix(&head)?.trim().parse().ok());
        let stores = stores.unwrap_or_else(|| panic!("no stores of {name}: {log}"));
        Self {
            seconds: to - from,
            by: by.chain([("stores".to_owned(), stores)]).collect(),
        }
    }

    pub fn by(&self, counter: &str) -> u64 {
        self.by[counter]
    }

    /// Codec periods in its time.
    pub fn periods(&self) -> u64 {
        (self.seconds * 48_000.0) as u64 / CODEC_PERIOD
    }
}

impl std::fmt::Display for Grown {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} periods", self.periods())?;
        SHOWN
            .iter()
            .try_for_each(|name| write!(to, ", {} {name}", self.by[*name]))
    }
}

/// `UPTIME NAME:VALUE…`
fn look(line: &str) -> (f64, BTreeMap<String, u64>) {
    let mut words = line.split_whitespace();
    let at = words.next().unwrap().parse().unwrap();
    let pair = |word: &str| {
        let (name, value) = word.split_once(':').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    (at, words.map(pair).collect())
}

/// The number of `name=NUMBER` in a line, or the first numbers of `name=NUMBER,NUMBER…`.
pub fn numbers(line: &str, name: &str) -> Vec<u64> {
    let head = format!("{name}=");
    let word = line.split_whitespace().find_map(|word| word.strip_prefix(&head));
    let word = word.unwrap_or_else(|| panic!("no {name} in {line}"));
    word.split(',').map(|number| number.parse().unwrap()).collect()
}
