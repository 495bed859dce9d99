//! One self-contained HTML page: tables, and each figure in a light and a dark form.

use std::fmt::Write;
use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::{ImageFormat, RgbImage};
use serde::Serialize;

use super::canvas::{DARK, LIGHT, Theme, paint};
use super::figures::Content;
use crate::error::{Error, Result};
use crate::train::folder::write_whole;

/// A table of the page.
#[derive(Debug, Serialize)]
pub struct Table {
    /// Over it.
    pub title: String,
    /// What it says and how it was measured.
    pub note: String,
    /// Column names.
    pub header: Vec<String>,
    /// Cells as text; the first names the row.
    pub rows: Vec<Vec<String>>,
}

/// A figure of the page.
#[derive(Debug)]
pub struct Figure {
    /// Its file name without extension.
    pub name: &'static str,
    /// Over it.
    pub title: String,
    /// Under it: what is seen.
    pub caption: String,
    /// What is drawn.
    pub content: Content,
}

const STYLE: &str = "
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1c1e24; --muted: #696e78; --line: #d9dce2; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14161b; --ink: #e8eaee; --muted: #9ea3ae; --line: #383c46; } }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .4rem; }
p, figcaption { color: var(--muted); max-width: 75ch; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0 0; } img { max-width: 100%; height: auto; border: 1px solid var(--line); }
";

/// Writes `index.html`, `NAME.png` and `NAME.dark.png` of each figure, and the tables as `report.json`.
/// Returns the page's size in bytes.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(out: &Path, title: &str, tables: &[Table], figures: &[Figure]) -> Result<usize> {
    std::fs::create_dir_all(out).map_err(Error::file(out))?;
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{0}</title><style>{STYLE}</style></head><body><h1>{0}</h1>",
        escaped(title)
    );
    tables.iter().for_each(|table| table.render(&mut page));
    for figure in figures {
        figure.render(out, &mut page)?;
    }
    page.push_str("</body></html>\n");
    let json =
        serde_json::to_vec_pretty(tables).map_err(|error| Error::Config(error.to_string()))?;
    write_whole(&out.join("report.json"), &json)?;
    write_whole(&out.join("index.html"), page.as_bytes())?;
    Ok(page.len())
}

impl Table {
    /// As Markdown: title, table, note.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        let rule = "|---".repeat(self.header.len());
        format!("{}\n\n{}{rule}|\n{rows}\n{}\n", self.title, line(&self.header), self.note)
    }

    fn render(&self, page: &mut String) {
        let cells = |tag: &str, cells: &[String]| {
            cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect::<String>()
        };
        let rows: String =
            self.rows.iter().map(|row| format!("<tr>{}</tr>", cells("td", row))).collect();
        let _ = write!(
            page,
            "<section><h2>{}</h2><p>{}</p><div class=\"wide\"><table><thead><tr>{}</tr></thead>\
             <tbody>{rows}</tbody></table></div></section>",
            escaped(&self.title),
            escaped(&self.note),
            cells("th", &self.header)
        );
    }
}

impl Figure {
    fn render(&self, out: &Path, page: &mut String) -> Result<()> {
        let light = self.png(LIGHT)?;
        let dark = self.png(DARK)?;
        write_whole(&out.join(format!("{}.png", self.name)), &light)?;
        write_whole(&out.join(format!("{}.dark.png", self.name)), &dark)?;
        let link = |png: &[u8]| format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png));
        let (width, caption) = (self.content.size().0 / 2, escaped(&self.caption));
        let _ = write!(
            page,
            "<section><h2>{}</h2><figure><picture>\
             <source media=\"(prefers-color-scheme: dark)\" srcset=\"{}\">\
             <img width=\"{width}\" src=\"{}\" alt=\"{caption}\"></picture>\
             <figcaption>{caption}</figcaption></figure></section>",
            escaped(&self.title),
            link(&dark),
            link(&light),
        );
        Ok(())
    }

    fn png(&self, theme: Theme) -> Result<Vec<u8>> {
        let image: RgbImage =
            paint(self.content.size(), theme, &|canvas| self.content.draw(canvas))?;
        let mut bytes = Cursor::new(vec![]);
        image
            .write_to(&mut bytes, ImageFormat::Png)
            .map_err(|error| Error::Config(format!("{}.png: {error}", self.name)))?;
        Ok(bytes.into_inner())
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let table = Table {
            title: "a<b".into(),
            note: "\"&".into(),
            header: vec!["<th>".into()],
            rows: vec![vec!["<script>".into()]],
        };
        let mut page = String::new();
        table.render(&mut page);
        assert!(page.contains("a&lt;b") && page.contains("&quot;&amp;"), "{page}");
        assert!(!page.contains("<script>"), "{page}");
    }
}
