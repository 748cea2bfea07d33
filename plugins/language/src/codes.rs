use whatlang::Lang;

/// ISO 639-1 codes of the languages that can be told apart.
#[rustfmt::skip]
const TWO_LETTERS: &[(&str, Lang)] = &[
    ("af", Lang::Afr), ("ak", Lang::Aka), ("am", Lang::Amh), ("ar", Lang::Ara), ("az", Lang::Aze), ("be", Lang::Bel),
    ("bg", Lang::Bul), ("bn", Lang::Ben), ("ca", Lang::Cat), ("cs", Lang::Ces), ("cy", Lang::Cym), ("da", Lang::Dan),
    ("de", Lang::Deu), ("el", Lang::Ell), ("en", Lang::Eng), ("eo", Lang::Epo), ("es", Lang::Spa), ("et", Lang::Est),
    ("fa", Lang::Pes), ("fi", Lang::Fin), ("fr", Lang::Fra), ("gu", Lang::Guj), ("he", Lang::Heb), ("hi", Lang::Hin),
    ("hr", Lang::Hrv), ("hu", Lang::Hun), ("hy", Lang::Hye), ("id", Lang::Ind), ("it", Lang::Ita), ("ja", Lang::Jpn),
    ("jv", Lang::Jav), ("ka", Lang::Kat), ("km", Lang::Khm), ("kn", Lang::Kan), ("ko", Lang::Kor), ("la", Lang::Lat),
    ("lt", Lang::Lit), ("lv", Lang::Lav), ("mk", Lang::Mkd), ("ml", Lang::Mal), ("mr", Lang::Mar), ("my", Lang::Mya),
    ("nb", Lang::Nob), ("ne", Lang::Nep), ("nl", Lang::Nld), ("no", Lang::Nob), ("or", Lang::Ori), ("pa", Lang::Pan),
    ("pl", Lang::Pol), ("pt", Lang::Por), ("ro", Lang::Ron), ("ru", Lang::Rus), ("si", Lang::Sin), ("sk", Lang::Slk),
    ("sl", Lang::Slv), ("sn", Lang::Sna), ("sr", Lang::Srp), ("sv", Lang::Swe), ("ta", Lang::Tam), ("te", Lang::Tel),
    ("th", Lang::Tha), ("tk", Lang::Tuk), ("tl", Lang::Tgl), ("tr", Lang::Tur), ("uk", Lang::Ukr), ("ur", Lang::Urd),
    ("uz", Lang::Uzb), ("vi", Lang::Vie), ("yi", Lang::Yid), ("zh", Lang::Cmn), ("zu", Lang::Zul),
];

/// The language of an ISO 639-1 or 639-3 code, in any case and with any region (`pt-BR`).
pub(crate) fn language(code: &str) -> Option<Lang> {
    let base = code.split(['-', '_']).next()?.to_ascii_lowercase();
    let two_letters = TWO_LETTERS.iter().find(|(two, _)| *two == base).map(|(_, language)| *language);
    two_letters.or_else(|| Lang::from_code(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_two_and_three_letters() {
        assert_eq!(language("de"), Some(Lang::Deu));
        assert_eq!(language("pt-BR"), Some(Lang::Por));
        assert_eq!(language("ENG"), Some(Lang::Eng));
        assert_eq!(language("xx"), None);
    }

    #[test]
    fn every_language_has_a_code_of_two_letters() {
        let missing: Vec<&Lang> =
            Lang::all().iter().filter(|lang| !TWO_LETTERS.iter().any(|(_, other)| other == *lang)).collect();
        assert_eq!(missing, [] as [&Lang; 0]);
    }
}
