//! CUDA where there is one, without linking to it.

use tch::Device;

/// Loads libtorch's CUDA half where it is installed, so that one binary serves both; then CUDA
/// registers itself. To be called before the first tensor.
pub fn pick() -> Device {
    load_cuda();
    Device::cuda_if_available()
}

/// For the line that a command prints at its start.
pub fn describe(device: Device) -> String {
    match device {
        Device::Cpu => format!("CPU, {} threads", tch::get_num_threads()),
        Device::Cuda(index) => format!("CUDA GPU {index} of {}", tch::Cuda::device_count()),
        other => format!("{other:?}"),
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "dlopen has no safe form")]
fn load_cuda() {
    // SAFETY: the name is a constant C string; loading runs libtorch's own initialisers only.
    unsafe {
        libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
    }
}

#[cfg(not(target_os = "linux"))]
fn load_cuda() {}
