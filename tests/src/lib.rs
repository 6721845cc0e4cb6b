//! What crosses packages: see the `tests` folder of this package.
