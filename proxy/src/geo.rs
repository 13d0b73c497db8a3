//! Where addresses are: a database in MaxMind's format (GeoIP2 or GeoLite2, City or Country).

use maxminddb::{PathElement, Reader};
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// An open database, in memory.
pub struct Geo {
    reader: Reader<Vec<u8>>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("geo_database {}: {source}", path.display())]
pub struct GeoError {
    pub path: PathBuf,
    pub source: maxminddb::MaxMindDbError,
}

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Geo({})", self.reader.metadata().database_type)
    }
}

impl Geo {
    /// Reads a whole file.
    ///
    /// # Errors
    /// It cannot be read, or is none in MaxMind's format.
    pub fn open(path: &Path) -> Result<Geo, GeoError> {
        let reader = Reader::open_readfile(path).map_err(|source| GeoError { path: path.to_path_buf(), source })?;
        Ok(Geo { reader })
    }

    /// ISO 3166-1 code of the country.
    pub(crate) fn country(&self, address: IpAddr) -> Option<String> {
        self.find(address, &["country", "iso_code"])
    }

    /// The value of a `CloudFront-Viewer-*` header, lower-case name.
    pub(crate) fn header(&self, address: IpAddr, name: &str) -> Option<String> {
        let degrees = |value: f64| format!("{value:.5}");
        match name.strip_prefix("cloudfront-viewer-")? {
            "asn" => self.find::<u32>(address, &["autonomous_system_number"]).map(|number| number.to_string()),
            "city" => self.find(address, &["city", "names", "en"]),
            "country" => self.country(address),
            "country-name" => self.find(address, &["country", "names", "en"]),
            "country-region" => self.find(address, &["subdivisions", "0", "iso_code"]),
            "country-region-name" => self.find(address, &["subdivisions", "0", "names", "en"]),
            "latitude" => self.find(address, &["location", "latitude"]).map(degrees),
            "longitude" => self.find(address, &["location", "longitude"]).map(degrees),
            "metro-code" => self.find::<u32>(address, &["location", "metro_code"]).map(|code| code.to_string()),
            "postal-code" => self.find(address, &["postal", "code"]),
            "time-zone" => self.find(address, &["location", "time_zone"]),
            _ => None,
        }
    }

    /// What a record has at a path; `0` is the first of a list.
    fn find<T: DeserializeOwned>(&self, address: IpAddr, path: &[&str]) -> Option<T> {
        let steps: Vec<PathElement<'_>> =
            path.iter().map(|step| if *step == "0" { PathElement::Index(0) } else { PathElement::Key(step) }).collect();
        self.reader.lookup(address.to_canonical()).ok()?.decode_path(&steps).ok().flatten()
    }
}
