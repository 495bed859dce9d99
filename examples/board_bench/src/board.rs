//! What the machine says about itself; "unknown" and 0 where it does not.

use std::fmt::{self, Display, Formatter};
use std::fs;

use serde::Serialize;

/// What does not change while it measures.
#[derive(Serialize)]
pub struct Board {
    /// The device tree's or the firmware's name.
    pub model: String,
    pub cpu: String,
    pub cores: usize,
    /// The first core's frequency governor.
    pub governor: String,
    /// qemu's user mode: times are no board's.
    pub emulated: bool,
}

impl Board {
    pub fn this() -> Self {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = first_line("/sys/firmware/devicetree/base/model")
            .or_else(|| first_line("/sys/class/dmi/id/product_name"));
        let governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        Self {
            model: model.unwrap_or_else(unknown),
            cpu: cpu_name(&information).unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            governor: governor.unwrap_or_else(unknown),
            emulated: is_emulated(&information),
        }
    }
}

/// What does.
#[derive(Serialize)]
pub struct Conditions {
    /// The warmest sensor, degrees Celsius.
    pub celsius: Option<f64>,
    /// The first core's clock now.
    pub megahertz: Option<f64>,
    /// Memory that this process uses now, and the most it ever did.
    pub resident_mib: f64,
    pub peak_mib: f64,
}

impl Conditions {
    pub fn now() -> Self {
        let zones = (0..16)
            .filter_map(|zone| number(&format!("/sys/class/thermal/thermal_zone{zone}/temp")));
        let clock = number("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq");
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            celsius: zones.map(|milli| milli / 1000.0).max_by(f64::total_cmp),
            megahertz: clock.map(|kilo| kilo / 1000.0),
            resident_mib: mebibytes(&status, "VmRSS:"),
            peak_mib: mebibytes(&status, "VmHWM:"),
        }
    }
}

impl Display for Conditions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.celsius {
            Some(celsius) => write!(f, "{celsius:.1} °C")?,
            None => write!(f, "no temperature sensor")?,
        }
        match self.megahertz {
            Some(megahertz) => write!(f, ", {megahertz:.0} MHz"),
            None => write!(f, ", clock unknown"),
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    // A device tree's texts end with a zero.
    let line = text.lines().next()?.trim_end_matches('\0').trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn number(path: &str) -> Option<f64> {
    first_line(path)?.parse().ok()
}

/// x86's name, or ARM's parts: `CPU part` is what tells a Cortex-A72 (0xd08) from an A76 (0xd0b).
fn cpu_name(information: &str) -> Option<String> {
    let field = |name: &str| {
        let line = information.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    field("model name").or_else(|| Some(format!("ARM part {}", field("CPU part")?)))
}

/// qemu's user mode shows the host's `/proc/cpuinfo` to a program of another architecture, or one that
/// names the emulator.
fn is_emulated(information: &str) -> bool {
    let of_a_pc = information.contains("GenuineIntel") || information.contains("AuthenticAMD");
    information.contains("QEMU")
        || (of_a_pc && !cfg!(any(target_arch = "x86_64", target_arch = "x86")))
}

fn mebibytes(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes: Option<f64> = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kibibytes.unwrap_or(0.0) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_named() {
        let board = "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd0b\n";
        assert_eq!(cpu_name(board).as_deref(), Some("ARM part 0xd0b"));
        assert_eq!(cpu_name("model name : Fast 9\nCPU part : 1\n").as_deref(), Some("Fast 9"));
        assert_eq!(cpu_name(""), None);
        assert!(is_emulated("Hardware : QEMU virt"));
    }

    #[test]
    fn memory_is_read_from_the_status() {
        assert_eq!(mebibytes("VmPeak: 1 kB\nVmHWM:\t   2048 kB\n", "VmHWM:"), 2.0);
        assert_eq!(mebibytes("", "VmHWM:"), 0.0);
        assert!(Conditions::now().resident_mib > 0.0);
    }
}
