// Package crossing is where a site's tables meet those of the other sites: a database
// whose tables have other names there (Config.NamesAt), and peers of another engine,
// whose types are others (package logical).
//
// Names are translated where changes leave the site and where they are written: frames,
// the window, conflicts, messages and rules know the cluster's names only, so that every
// site means the same row and hashes the same key.
//
// Values are translated when they arrive, into the form of the table here, before
// anything is decided: within a site all values of a column have one form, its own
// writes and those of others. Sites decide alike nevertheless, because what decides is
// the same in every form: versions, what a write changed (a value and its counterpart
// change together: the mapping is one to one, and documents are brought into one
// spelling where they are captured), and the order of values (numbers, moments, bytes).
// Rules that would see a difference - a custom rule and a boolean that is a number
// elsewhere - are refused by name. The alternative, a canonical form of all sites in the
// frames, needs every site to know the types of all others before it can publish.
//
// A value without counterpart becomes a text that says so (logical.Misfit): it travels
// through every decision like another value, and where it would be written the change is
// refused, and so parked with the reason. A column that cannot map at all holds its
// table back, as a missing column does.
package crossing
