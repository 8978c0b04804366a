// Package ruletest examines a rule in Starlark without any database: the cases that its
// script gives, and random concurrent histories of two and three sites. Each history is
// run through the window and the fold that the agents use, in every order in which its
// transactions can arrive. What breaks the rule is made as small as it can be and told.
package ruletest
