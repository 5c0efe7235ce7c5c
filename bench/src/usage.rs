//! Resource usage of a process, as the kernel accounts it.

use std::fs;
use std::time::Duration;

use crate::Result;

/// The processor time of all threads of a process. From `schedstat`, because `stat` counts in hundredths of
/// a second, and a turn takes a thousandth.
pub(crate) fn cpu_of(pid: &str) -> Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        let on_cpu = text.split(' ').next().unwrap_or_default();
        nanos += on_cpu.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
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
