//! What the fuzz targets share: events made from arbitrary bytes, what must
//! hold for every result that passes, and zip archives written byte by byte.

pub mod archives;
pub mod events;
pub mod lawful;
