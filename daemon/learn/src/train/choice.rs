/// An enum of the ways to do one thing, of which a configuration names one: a line for each, with the file that knows it. Its name in
/// configurations and fingerprints is the file's.
macro_rules! choice {
    ($(#[$doc:meta])* $choice:ident: $way:ident { $($(#[$about:meta])* $variant:ident($file:path),)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $choice {
            $($(#[$about])* $variant,)+
        }

        impl $choice {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in configurations and fingerprints.
            pub fn as_str(self) -> &'static str {
                self.way().name()
            }

            pub(in crate::train) fn way(self) -> &'static dyn $way {
                match self {
                    $(Self::$variant => &$file,)+
                }
            }
        }

        impl serde::Serialize for $choice {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $choice {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                Self::ALL.iter().copied().find(|choice| choice.as_str() == name).ok_or_else(|| {
                    let known: Vec<String> = Self::ALL.iter().map(|choice| format!("`{}`", choice.as_str())).collect();
                    serde::de::Error::custom(format!("unknown variant `{name}`, expected one of {}", known.join(", ")))
                })
            }
        }
    };
}

pub(in crate::train) use choice;
