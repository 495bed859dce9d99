//! A window, drawn anew for each picture.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use embedded_graphics::prelude::Size;
use minifb::{InputCallback, Key, ScaleMode, Window, WindowOptions};

use crate::Screen;
use crate::canvas::Canvas;
use crate::draw::{Layout, draw};
use crate::moment::Moment;
use crate::source::Failure;

const TITLE: &str = "dmue - Q or Esc closes";

/// How often a window without a new picture looks at keys and its close button.
const IDLE: Duration = Duration::from_millis(20);

/// Opens with the first picture, whose size it takes.
#[derive(Default)]
pub struct Desktop(Option<Open>);

struct Open {
    window: Window,
    quit: Quit,
    canvas: Canvas,
    layout: Layout,
}

/// Whether Q or Esc was pressed, however shortly: a key that is up again when the next picture is done
/// would be missed by asking which keys are down.
#[derive(Clone, Default)]
struct Quit(Rc<Cell<bool>>);

impl InputCallback for Quit {
    fn add_char(&mut self, _: u32) {}

    fn set_key_state(&mut self, key: Key, down: bool) {
        self.0.set(self.0.get() || (down && matches!(key, Key::Q | Key::Escape)));
    }
}

impl Open {
    fn new(picture: Size) -> Result<Self, Failure> {
        let layout = Layout::new(picture);
        let Size { width, height } = layout.size();
        let options = WindowOptions {
            resize: true,
            scale_mode: ScaleMode::AspectRatioStretch,
            ..WindowOptions::default()
        };
        let mut window =
            Window::new(TITLE, width as usize, height as usize, options).map_err(|error| {
                format!("{error}: where there is no screen (or no X11), use --terminal")
            })?;
        let quit = Quit::default();
        window.set_input_callback(Box::new(quit.clone()));
        Ok(Self { window, quit, canvas: Canvas::new(layout.size()), layout })
    }
}

impl Screen for Desktop {
    fn show(&mut self, moment: &Moment<'_>) -> Result<(), Failure> {
        let open = match &mut self.0 {
            Some(open) => open,
            none => none.insert(Open::new(Size::new(moment.picture.width, moment.picture.height))?),
        };
        draw(&mut open.canvas, &open.layout, moment);
        let Size { width, height } = open.layout.size();
        let pixels = &open.canvas.pixels;
        Ok(open.window.update_with_buffer(pixels, width as usize, height as usize)?)
    }

    fn is_open(&mut self) -> bool {
        let Some(Open { window, quit, .. }) = &mut self.0 else {
            return true;
        };
        window.update();
        window.is_open() && !quit.0.get()
    }

    /// The last picture stays until it was looked at.
    fn end(&mut self, stopped: &dyn Fn() -> bool) -> Result<(), Failure> {
        if let Some(Open { window, .. }) = &mut self.0 {
            window.set_title("dmue - the source has ended - Q or Esc closes");
        }
        while self.0.is_some() && !stopped() && self.is_open() {
            std::thread::sleep(IDLE);
        }
        Ok(())
    }
}
