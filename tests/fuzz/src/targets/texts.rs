//! Numbers with units.

use k3s_meta::Quantity;

/// A quantity of a resource.
pub fn quantity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(quantity) = Quantity::parse(text) else {
        return;
    };
    let printed = quantity.to_string();
    assert!(printed.len() <= 48, "{printed}");
    let read = Quantity::parse(&printed).unwrap();
    assert_eq!(read, quantity, "{printed} of {text}");
    assert_eq!(read.milli(), quantity.milli());
    assert_eq!(read.value(), quantity.value());
    assert_eq!(-(-quantity), quantity);
    assert_eq!(quantity + Quantity::ZERO, quantity);
    assert_eq!(quantity - read, Quantity::ZERO);
    assert_eq!(quantity.is_negative(), quantity < Quantity::ZERO);
    // Whole units are rounded away from zero, and cut where they are too many.
    let whole = Quantity::from_value(quantity.value(), quantity.format());
    let is_cut = matches!(quantity.value(), i64::MIN | i64::MAX);
    assert!(is_cut || (whole == quantity) == quantity.is_integer());
    let written = Quantity::written(text).unwrap();
    assert_eq!(Quantity::parse(&written).unwrap(), quantity);
}

/// A duration as Go writes them.
pub fn duration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(duration) = k3s_duration::parse(text) else {
        return;
    };
    let nanos = duration.as_nanos();
    assert!(i64::try_from(nanos).is_ok());
    assert_eq!(k3s_duration::parse(&format!("{nanos}ns")), Ok(duration));
}
