//! Resource usage of a process, as the kernel accounts it.

use std::fs;
use std::time::Duration;

use crate::Result;

/// The processor time of a process. From its threads' `schedstat`, because `stat` counts in hundredths of a
/// second, and a turn takes a thousandth; but `stat` includes the threads that have ended.
pub(crate) fn cpu_of(pid: &str) -> Result<Duration> {
    Ok(cpu_of_threads(pid)?.max(cpu_in_ticks(pid)?))
}

fn cpu_of_threads(pid: &str) -> Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let on_cpu = text.split(' ').next().unwrap_or_default();
        nanos += on_cpu.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn cpu_in_ticks(pid: &str) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the program's name in parentheses, may contain spaces.
    let (_, fields) = text.rsplit_once(") ").ok_or("no name in /proc/…/stat")?;
    let [user, system] = [11, 12].map(|place| fields.split(' ').nth(place).unwrap_or_default());
    Ok(ticks(user.parse::<u64>()? + system.parse::<u64>()?))
}

fn ticks(count: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second();
    Duration::from_nanos(count * 1_000_000_000 / per_second)
}

/// The processor time of all processes of this machine.
pub(crate) fn cpu_of_machine() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    // user, nice, system, idle, waiting for the disk, and two kinds of interrupts.
    let fields: Vec<&str> = line.split_whitespace().skip(1).collect();
    let mut busy = 0;
    for place in [0, 1, 2, 5, 6] {
        busy += fields.get(place).ok_or("a short /proc/stat")?.parse::<u64>()?;
    }
    Ok(ticks(busy))
}

/// The processor time of a process and of its running child processes.
pub(crate) fn cpu_of_children(pid: &str) -> Result<Duration> {
    let mut total = cpu_of(pid)?;
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(child) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
            continue;
        };
        if field(child, "PPid:").ok().flatten().as_deref() == Some(pid) {
            // The process may have ended meanwhile.
            total += cpu_of(child).unwrap_or_default();
        }
    }
    Ok(total)
}

/// The peak memory of a process, in KiB (`VmHWM`).
pub(crate) fn peak_memory_of(pid: &str) -> Result<u64> {
    memory(pid, "VmHWM:")
}

/// The present memory of a process, in KiB (`VmRSS`).
pub(crate) fn resident_memory_of(pid: &str) -> Result<u64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: &str, name: &str) -> Result<u64> {
    let value = field(pid, name)?.ok_or_else(|| format!("no {name} in /proc/…/status"))?;
    Ok(value.trim_end_matches("kB").trim().parse()?)
}

fn field(pid: &str, name: &str) -> Result<Option<String>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    Ok(value.map(|value| value.trim().to_owned()))
}
