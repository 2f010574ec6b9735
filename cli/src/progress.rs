//! Progress bars: on stderr, and only where it is a terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of so many steps in the style of a template of `indicatif`'s, hidden from anything but a terminal.
pub(crate) fn bar(steps: usize, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::new(steps as u64);
    // The templates are ours, so the default is never taken.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
