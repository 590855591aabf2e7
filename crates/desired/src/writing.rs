//! How a content is written: as this version does it, or, in tests of a change of versions, as another one would.

/// How a content is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writing {
    #[cfg(feature = "testing")]
    otherwise: Option<Otherwise>,
}

/// What another version makes of a text that this one has written.
#[cfg(feature = "testing")]
pub type Otherwise = fn(Vec<u8>) -> Vec<u8>;

impl Writing {
    #[cfg(feature = "testing")]
    pub const fn otherwise(otherwise: Otherwise) -> Self {
        Self {
            otherwise: Some(otherwise),
        }
    }

    /// The text as it goes out.
    #[cfg(feature = "testing")]
    pub fn finish(self, text: Vec<u8>) -> Vec<u8> {
        match self.otherwise {
            Some(otherwise) => otherwise(text),
            None => text,
        }
    }

    /// The text as it goes out.
    #[cfg(not(feature = "testing"))]
    pub const fn finish(self, text: Vec<u8>) -> Vec<u8> {
        text
    }
}
