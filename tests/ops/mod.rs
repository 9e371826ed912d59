//! Values of one executor against another.
