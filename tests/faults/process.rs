//! The process in which faults are injected: the layer, a watch, what it holds.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libloading::{Library, Symbol};
use sortilege_faults::{NAME, Point};

/// Longer than any deadline.
const HANG: Duration = Duration::from_secs(120);

/// The layer's library, which is built beside the test.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let library = test.with_file_name("libsortilege_faults.so");
    assert!(library.exists(), "{} is built with the test", library.display());
    library
}

/// A folder in which the Vulkan loader finds the layer.
pub(crate) fn write_manifest() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vulkan-layer");
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = format!(
        r#"{{"file_format_version": "1.1.2", "layer": {{"name": "{NAME}", "type": "GLOBAL", "library_path": {:?},
        "api_version": "1.3.0", "implementation_version": "1", "description": "faults on demand"}}}}"#,
        library()
    );
    std::fs::write(folder.join("faults.json"), text).expect("a manifest");
    folder
}

/// The layer that the loader has loaded.
pub(crate) struct Layer(Library);

impl Layer {
    pub(crate) fn open() -> Self {
        Self(unsafe { Library::new(library()) }.expect("the layer"))
    }

    /// Counts anew, and fails the `number`th call of a point; none where it is 0.
    pub(crate) fn arm(&self, point: Point, number: u32, result: i32) {
        let arm: Symbol<'_, extern "C" fn(u32, u32, i32)> =
            unsafe { self.0.get(b"sortilege_arm\0") }.expect("is there");
        arm(point as u32, number, result);
    }

    pub(crate) fn count(&self, point: Point) -> u32 {
        let count: Symbol<'_, extern "C" fn(u32) -> u32> =
            unsafe { self.0.get(b"sortilege_count\0") }.expect("is there");
        count(point as u32)
    }
}

/// Ends the process when a case takes too long, and says which; names the case of a panic.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Mutex<(String, Instant)>>, Instant);

static PANICS_OF_WGPU: AtomicUsize = AtomicUsize::new(0);

/// wgpu panics on a lost device; what is caught is no harm.
pub(crate) fn panics_of_wgpu() -> usize {
    PANICS_OF_WGPU.load(Ordering::Relaxed)
}

impl Watch {
    pub(crate) fn start() -> Self {
        let watch = Self(Arc::new(Mutex::new(("the start".to_owned(), Instant::now()))), Instant::now());
        let (hook, own) = (std::panic::take_hook(), watch.clone());
        std::panic::set_hook(Box::new(move |panic| {
            eprintln!("{}:", own.case());
            hook(panic);
            let is_of_wgpu = panic.location().is_some_and(|place| place.file().contains("/wgpu"));
            if !is_of_wgpu {
                // In whatever thread.
                std::process::exit(101);
            }
            PANICS_OF_WGPU.fetch_add(1, Ordering::Relaxed);
        }));
        let own = watch.clone();
        std::thread::spawn(move || {
            while own.0.lock().expect("no panic in it").1.elapsed() < HANG {
                std::thread::sleep(Duration::from_millis(50));
            }
            eprintln!("{}: it hangs", own.case());
            std::process::exit(102);
        });
        watch
    }

    fn case(&self) -> String {
        self.0.lock().expect("no panic in it").0.clone()
    }

    /// A case begins.
    pub(crate) fn begin(&self, case: String) {
        *self.0.lock().expect("no panic in it") = (case, Instant::now());
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s", self.1.elapsed().as_secs_f64())
    }
}

/// Threads of this process.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

/// Waits for what is to come about, for longer than the thread stays that polls for those who await.
pub(crate) fn wait_for(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() && start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What of this process lies in memory.
pub(crate) fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split(' ').nth(1).expect("a second number");
    pages.parse::<usize>().expect("pages") * 4096
}
