//! A headless Chromium, driven by its DevTools protocol over two pipes: it needs no port, and no library. What a page
//! should be is not known here.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Names of the program, the first of which that is there is taken; `CHROMIUM` goes before them.
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// How long an answer may take, and a page until its script has run.
const PATIENCE: Duration = Duration::from_secs(60);

/// Times are measured, so that no other browser runs meanwhile.
static ONE: Mutex<()> = Mutex::new(());

pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    sent: u64,
    session: Value,
    /// What the page did since it was opened: messages, errors, requests.
    events: Vec<Value>,
    url: String,
    _profile: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// The program; a panic that says what to do where there is none.
fn program() -> String {
    let named = std::env::var("CHROMIUM").ok();
    let runs = |name: &String| {
        let mut version = Command::new(name);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    let names = named.into_iter().chain(NAMES.map(str::to_owned));
    names.into_iter().find(runs).expect(
        "no Chromium was found: install it (apt-get install chromium), or name one with the variable CHROMIUM",
    )
}

/// Whether the tests run as root, by whom a new folder belongs to.
fn is_root(new_folder: &Path) -> bool {
    std::os::unix::fs::MetadataExt::uid(&new_folder.metadata().expect("it is there")) == 0
}

impl Browser {
    /// A browser with an empty profile, as wide and high as a small screen.
    pub(crate) fn start() -> Self {
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = tempfile::tempdir().expect("a temporary folder");
        // The protocol is spoken on the descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null", &program()])
            .args(["--headless=new", "--remote-debugging-pipe", "--disable-gpu"])
            // There is none to be had as root.
            .args(is_root(profile.path()).then_some("--no-sandbox"))
            .args([
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--hide-scrollbars",
                "--window-size=1300,1000",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let commands = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            commands,
            messages,
            sent: 0,
            session: Value::Null,
            events: Vec::new(),
            url: String::new(),
            _profile: profile,
            _alone: alone,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// The answer to a command.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut command = json!({"id": self.sent, "method": method, "params": params});
        if !self.session.is_null() {
            command["sessionId"] = self.session.clone();
        }
        self.commands.write_all(command.to_string().as_bytes()).expect("the browser runs");
        self.commands.write_all(&[0]).expect("the browser runs");
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|error| panic!("no answer to {method}: {error}"));
            if message["id"] == self.sent {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// Opens a page, and gives the time until its script has run and a frame was drawn after it.
    pub(crate) fn open(&mut self, page: &Path, place: &str) -> Duration {
        self.call("Page.navigate", json!({"url": "about:blank"}));
        self.events.clear();
        self.url = format!("file://{}{place}", page.display());
        let start = Instant::now();
        self.call("Page.navigate", json!({"url": self.url}));
        while self.evaluate("document.documentElement?.dataset.ready ?? null").is_null() {
            assert!(start.elapsed() < PATIENCE, "the page's script does not run: {:?}", self.complaints());
            thread::sleep(Duration::from_millis(5));
        }
        self.settle();
        start.elapsed()
    }

    /// Opens a page whose script need not run.
    pub(crate) fn open_broken(&mut self, page: &Path) {
        self.events.clear();
        self.url = format!("file://{}", page.display());
        self.call("Page.navigate", json!({"url": self.url}));
        let loaded = "document.URL !== 'about:blank' && document.readyState === 'complete'";
        while self.evaluate(loaded) != true {
            thread::sleep(Duration::from_millis(5));
        }
        self.settle();
    }

    /// Waits until what was done is on the screen.
    fn settle(&mut self) {
        let frames =
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";
        self.evaluate(frames);
    }

    /// The value of an expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// The text of an element.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.evaluate(&format!("document.querySelector({selector:?}).innerText"));
        text.as_str().expect("a text").to_owned()
    }

    /// Moves the mouse to an element that an expression gives.
    pub(crate) fn hover(&mut self, element: &str) {
        let middle = self.middle(element);
        self.mouse("mouseMoved", &middle);
        self.settle();
    }

    /// Clicks an element that an expression gives.
    pub(crate) fn click(&mut self, element: &str) {
        let middle = self.middle(element);
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            self.mouse(kind, &middle);
        }
        self.settle();
    }

    fn middle(&mut self, element: &str) -> Value {
        self.evaluate(&format!(
            "(() => {{ const element = {element}; element.scrollIntoView({{block: 'nearest'}}); \
             const box = element.getClientRects()[0]; \
             return {{x: box.left + box.width / 2, y: box.top + box.height / 2}}; }})()"
        ))
    }

    fn mouse(&mut self, kind: &str, at: &Value) {
        let params = json!({"type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1});
        self.call("Input.dispatchMouseEvent", params);
    }

    /// Presses a key by its name, and lets it go.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => panic!("{key} has no code here"),
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let params =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", params);
        }
        self.settle();
    }

    /// Has the page drawn for people who like it `light` or `dark`.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
        self.settle();
    }

    /// Gives the page so many pixels from left to right.
    pub(crate) fn resize(&mut self, width: u32) {
        let metrics = json!({"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        self.settle();
    }

    /// Writes a picture of what is on the screen to a .png file.
    pub(crate) fn screenshot(&mut self, file: &Path) {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let bytes = STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(file, bytes).expect("the folder is writable");
    }

    /// What a page may not do: messages and errors of its script, breaches of its policy, requests for anything but itself.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // What is on its way arrives before this answer.
        self.call("Runtime.evaluate", json!({"expression": "0"}));
        let page = &self.url;
        let complaint = |event: &Value| match event["method"].as_str()? {
            "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" => Some(event["params"].to_string()),
            "Log.entryAdded" => Some(event["params"]["entry"]["text"].to_string()),
            "Network.requestWillBeSent" => {
                let url = event["params"]["request"]["url"].as_str()?;
                let is_page = page.split('#').next() == Some(url) || url == "about:blank";
                (!is_page).then(|| format!("a request for {url}"))
            }
            _ => None,
        };
        self.events.iter().filter_map(complaint).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
