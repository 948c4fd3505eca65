//! A real browser: headless Chromium, driven over WebDriver as the W3C describes it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use super::processes::free_address;

/// Nothing in a page takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys without a sign, as WebDriver names them.
pub(crate) const ALT: char = '\u{e00a}';
pub(crate) const TAB: char = '\u{e004}';
pub(crate) const ENTER: char = '\u{e007}';

/// One window. Dropped, it is closed, and its driver ended.
pub(crate) struct Browser {
    http: reqwest::Client,
    driver: Child,
    address: SocketAddr,
    session: String,
    // Held for as long as the browser writes into it.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A window of this size.
    pub(crate) async fn start(width: u32, height: u32) -> Self {
        Self::start_with(width, height, json!({})).await
    }

    /// The same for a person who lets no page run scripts.
    pub(crate) async fn start_without_scripts(width: u32, height: u32) -> Self {
        let blocked = json!({"profile.managed_default_content_settings.javascript": 2});
        Self::start_with(width, height, blocked).await
    }

    async fn start_with(width: u32, height: u32, preferences: Value) -> Self {
        let address = free_address();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={}", address.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let driver = driver.unwrap_or_else(|error| {
            panic!("chromedriver does not start ({error}): apt-get install chromium chromium-driver")
        });
        let profile = tempfile::tempdir().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut browser = Self { http, driver, address, session: String::new(), _profile: profile };
        let begun = Instant::now();
        while browser.http.get(browser.url("/status")).send().await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "chromedriver does not listen");
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        let arguments = [
            "--headless=new".to_owned(),
            // Tests may run as root, for which Chromium has no sandbox.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--no-proxy-server".to_owned(),
            "--lang=en".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"args": arguments, "prefs": preferences}, "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = browser.ask("/session", capabilities).await;
        browser.session = answer["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Goes to an address.
    pub(crate) async fn open(&self, url: &str) {
        self.command("/url", json!({ "url": url })).await;
    }

    /// Makes the page as large as on another screen; a window is never narrower than 500 points.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": true});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": size});
        self.command("/goog/cdp/execute", command).await;
    }

    /// Shows the page as to somebody who likes it dark, or light.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        let command = json!({"cmd": "Emulation.setEmulatedMedia", "params": features});
        self.command("/goog/cdp/execute", command).await;
    }

    /// From here on the page is what stands in this frame.
    pub(crate) async fn enter_frame(&self, selector: &str) {
        let element = self.find(selector).await;
        self.command("/frame", json!({"id": {ELEMENT: element}})).await;
    }

    /// What a script in the page returns.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.command("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// Waits until an expression of the page is true.
    pub(crate) async fn until(&self, expression: &str) {
        let begun = Instant::now();
        while self.script(&format!("return Boolean({expression})")).await != true {
            if begun.elapsed() > PATIENCE {
                panic!("waited in vain until {expression}; the page says {}", self.text("body").await);
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// Presses what the selector finds first, when it is there.
    pub(crate) async fn press(&self, selector: &str) {
        loop {
            let element = self.find(selector).await;
            let path = format!("/session/{}/element/{element}/click", self.session);
            match self.try_to_ask(&path, json!({})).await {
                Ok(_) => return,
                // A live page has put another one in its place meanwhile.
                Err(error) if error.contains("stale element") => {}
                Err(error) => panic!("{selector} cannot be pressed: {error}"),
            }
        }
    }

    /// Types into a field; for a field of files: chooses the file of this path.
    pub(crate) async fn enter(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.command(&format!("/element/{element}/value"), json!({ "text": text })).await;
    }

    /// Presses keys together, the last one while the others are held, and lets go of them.
    pub(crate) async fn keys(&self, keys: &[char]) {
        let down = keys.iter().map(|key| json!({"type": "keyDown", "value": key.to_string()}));
        let up = keys.iter().rev().map(|key| json!({"type": "keyUp", "value": key.to_string()}));
        let actions: Vec<Value> = down.chain(up).collect();
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.command("/actions", keyboard).await;
    }

    /// The text of an element as a person sees it.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let selector = Value::from(selector);
        let text = self.script(&format!("return document.querySelector({selector})?.innerText ?? ''")).await;
        text.as_str().unwrap().to_owned()
    }

    /// The errors that the console has told since it was asked last: also scripts that failed, files that did not load, and what a content
    /// security policy refused.
    pub(crate) async fn errors(&self) -> Vec<String> {
        let entries = self.command("/se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().unwrap().iter();
        let severe = entries.filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Keeps a picture of the window in the folder `SCREENSHOTS`, where that is set.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("SCREENSHOTS") else { return };
        let answer = self.http.get(self.url(&format!("/session/{}/screenshot", self.session))).send().await;
        let answer: Value = answer.unwrap().json().await.unwrap();
        let picture = base64::engine::general_purpose::STANDARD.decode(answer["value"].as_str().unwrap());
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), picture.unwrap()).unwrap();
    }

    async fn find(&self, selector: &str) -> String {
        self.until(&format!("document.querySelector({})", Value::from(selector))).await;
        let found = self.command("/element", json!({"using": "css selector", "value": selector})).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    async fn command(&self, command: &str, parameters: Value) -> Value {
        self.ask(&format!("/session/{}{command}", self.session), parameters).await
    }

    async fn ask(&self, path: &str, parameters: Value) -> Value {
        let asked = self.try_to_ask(path, parameters.clone()).await;
        asked.unwrap_or_else(|error| panic!("{path} with {parameters}: {error}"))
    }

    async fn try_to_ask(&self, path: &str, parameters: Value) -> Result<Value, String> {
        let answer = self.http.post(self.url(path)).json(&parameters).send().await.unwrap();
        let is_well = answer.status().is_success();
        let mut answer: Value = answer.json().await.unwrap();
        if is_well { Ok(answer["value"].take()) } else { Err(answer["value"]["message"].to_string()) }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks the driver to close the window, without a runtime, which a panicking test may not have.
    fn close(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let path = format!("/session/{}", self.session);
        write!(stream, "DELETE {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address)?;
        // It answers when the window is closed, and keeps the connection.
        stream.read(&mut [0; 1024]).map(|_| ())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.close();
        // The driver and, if it did not close, its browser are one group.
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.driver), Signal::KILL);
        let _ = self.driver.wait();
    }
}
