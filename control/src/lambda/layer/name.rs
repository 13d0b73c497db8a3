//! Names, numbers and ARNs of layers (AWS: "PublishLayerVersion", LayerName; "Layer", Arn).

use crate::error::{ApiError, Code};
use crate::lambda::names::{ACCOUNT, REGION, invalid, is_number};

/// One version of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) layer: String,
    pub(super) number: u64,
}

/// The name of a layer that a client named, or gave the ARN of.
pub(super) fn parse(text: &str) -> Result<String, ApiError> {
    let parts: Vec<&str> = text.split(':').collect();
    let name = match parts[..] {
        ["arn", _, "lambda", region, account, "layer", name] => {
            expect_here(text, region, account)?;
            name
        }
        [name] => name,
        _ => return Err(invalid(format!("{text:?} is not the name or ARN of a layer"))),
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(allowed) {
        return Err(invalid(format!("layer name {name:?} must be 1 to {NAME_MAX} letters, digits, - and _")));
    }
    Ok(name.to_owned())
}

impl Numbered {
    /// A name and a number, as paths have them.
    pub(super) fn of(layer: &str, number: &str) -> Result<Numbered, ApiError> {
        let parsed = number.parse().ok().filter(|parsed| *parsed > 0 && is_number(number));
        let number = parsed.ok_or_else(|| invalid(format!("VersionNumber is {number:?}, it must be 1 or more")))?;
        Ok(Numbered { layer: parse(layer)?, number })
    }

    /// The ARN of a layer version.
    pub(super) fn parse(text: &str) -> Result<Numbered, ApiError> {
        let split = text.rsplit_once(':').filter(|(layer, number)| layer.starts_with("arn:") && is_number(number));
        let (layer, number) = split
            .ok_or_else(|| invalid(format!("{text:?} is not the ARN of a layer version, which ends in a number")))?;
        Numbered::of(layer, number)
    }

    pub(super) fn arn(&self) -> String {
        format!("{}:{}", arn(&self.layer), self.number)
    }
}

/// Of the layer itself.
pub(super) fn arn(layer: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{layer}")
}

fn expect_here(text: &str, region: &str, account: &str) -> Result<(), ApiError> {
    if region == REGION && account == ACCOUNT {
        return Ok(());
    }
    let message = format!("{text} does not exist: the layers of this edge are in {REGION}, account {ACCOUNT}");
    Err(ApiError::new(Code::NOT_FOUND, message))
}

const NAME_MAX: usize = 140;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named_and_their_versions_numbered() {
        assert_eq!(parse("a-layer_1").unwrap(), "a-layer_1");
        assert_eq!(parse(&arn("l")).unwrap(), "l");
        let one = Numbered { layer: "l".into(), number: 12 };
        assert_eq!(Numbered::parse(&one.arn()).unwrap(), one);
        assert_eq!(Numbered::of(&arn("l"), "12").unwrap(), one);
        for text in ["", "a b", "l:1", "layer:l", &"x".repeat(141)] {
            assert_eq!(parse(text).unwrap_err().code, Code::INVALID_PARAMETER, "{text}");
        }
        for number in ["0", "-1", "+1", "x", "", "99999999999999999999999"] {
            assert_eq!(Numbered::of("l", number).unwrap_err().code, Code::INVALID_PARAMETER, "{number}");
        }
        for text in [&arn("l"), "l:1", "arn:aws:lambda:us-east-1:000000000000:function:f:1"] {
            assert_eq!(Numbered::parse(text).unwrap_err().code, Code::INVALID_PARAMETER, "{text}");
        }
        let elsewhere = "arn:aws:lambda:eu-west-1:123456789012:layer:l:1";
        assert_eq!(Numbered::parse(elsewhere).unwrap_err().code, Code::NOT_FOUND);
    }
}
