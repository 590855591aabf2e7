//! One request and its answer, as readers and writers.

use std::cell::RefCell;
use std::io::{self, BufRead, Cursor, Read, Write};
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Response};

use super::{HttpLocation, Link};

/// A request and its answer. A request is sent when somebody first looks at the answer: then its body is whole.
pub(super) struct Exchange {
    link: Rc<Link>,
    state: State,
}

/// A request whose body still grows.
pub(super) struct Pending {
    pub(super) to: HttpLocation,
    pub(super) tail: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

enum State {
    Pending(Pending),
    Answered { headers: Bytes, body: Incoming },
    Ended,
}

impl Exchange {
    /// One that is not sent yet.
    pub(super) fn begun(link: &Rc<Link>, pending: Pending) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            link: Rc::clone(link),
            state: State::Pending(pending),
        }))
    }

    /// One whose answer has begun.
    pub(super) fn answered(link: &Rc<Link>, response: Response<Incoming>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            link: Rc::clone(link),
            state: State::from(response),
        }))
    }

    /// The answer's headers, one a line.
    fn headers(&mut self) -> io::Result<Bytes> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Pending(pending) => {
                let Pending {
                    to,
                    tail,
                    headers,
                    body,
                } = pending;
                let link = &self.link;
                let request = link.request(&to, Method::POST, &tail, &headers, body.into())?;
                let response = link.send(&to, request)?;
                link.judge(&response)?;
                self.state = State::from(response);
            }
            state => self.state = state,
        }
        match &self.state {
            State::Answered { headers, .. } => Ok(headers.clone()),
            _ => Ok(Bytes::new()),
        }
    }

    /// The next piece of the answer's body; empty at its end.
    fn next(&mut self) -> io::Result<Bytes> {
        self.headers()?;
        let State::Answered { body, .. } = &mut self.state else {
            return Ok(Bytes::new());
        };
        loop {
            let Some(frame) = self.link.run(body.frame())? else {
                self.state = State::Ended;
                return Ok(Bytes::new());
            };
            let frame = frame.map_err(|error| self.link.lost(&io::Error::other(error)))?;
            match frame.into_data() {
                Ok(data) if !data.is_empty() => {
                    self.link.watch.count(data.len())?;
                    return Ok(data);
                }
                _ => {}
            }
        }
    }
}

impl From<Response<Incoming>> for State {
    fn from(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let mut headers = Vec::new();
        for (name, value) in &head.headers {
            headers.extend_from_slice(name.as_str().as_bytes());
            headers.extend_from_slice(b": ");
            headers.extend_from_slice(value.as_bytes());
            headers.push(b'\n');
        }
        Self::Answered {
            headers: headers.into(),
            body,
        }
    }
}

/// The body of a request.
pub(in crate::git) struct Upload(Rc<RefCell<Exchange>>);

impl Upload {
    pub(super) fn of(exchange: &Rc<RefCell<Exchange>>) -> Self {
        Self(Rc::clone(exchange))
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0.borrow_mut().state {
            State::Pending(pending) => pending.body.extend_from_slice(bytes),
            _ => return Err(io::Error::other("the request was sent already")),
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The headers of an answer.
pub(in crate::git) struct Headers {
    exchange: Rc<RefCell<Exchange>>,
    lines: Option<Cursor<Bytes>>,
}

impl Headers {
    pub(super) fn of(exchange: &Rc<RefCell<Exchange>>) -> Self {
        Self {
            exchange: Rc::clone(exchange),
            lines: None,
        }
    }
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.lines.is_none() {
            self.lines = Some(Cursor::new(self.exchange.borrow_mut().headers()?));
        }
        match &mut self.lines {
            Some(lines) => lines.fill_buf(),
            None => Ok(&[]),
        }
    }
    fn consume(&mut self, bytes: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(bytes);
        }
    }
}

/// The body of an answer.
pub(in crate::git) struct Body {
    exchange: Rc<RefCell<Exchange>>,
    piece: Bytes,
}

impl Body {
    pub(super) fn of(exchange: &Rc<RefCell<Exchange>>) -> Self {
        Self {
            exchange: Rc::clone(exchange),
            piece: Bytes::new(),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece.is_empty() {
            self.piece = self.exchange.borrow_mut().next()?;
        }
        Ok(&self.piece)
    }
    fn consume(&mut self, bytes: usize) {
        drop(self.piece.split_to(bytes));
    }
}

fn read_buffered(from: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let mut piece = from.fill_buf()?;
    let bytes = piece.read(buffer)?;
    from.consume(bytes);
    Ok(bytes)
}
