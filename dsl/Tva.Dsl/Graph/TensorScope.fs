/// Which tensors a restriction, a coefficient or an option speaks of: from a tensor's name and layer to yes or no.
namespace Tva.Dsl.Graph

open System
open System.Text
open System.Text.RegularExpressions
open Tva.Core.Tensors

/// A condition on tensors; structural equality makes equal scopes one node in the graph.
type TensorScope =
    | Everything
    /// `*` any run of characters (dots too), `?` one character; the whole name must match.
    | Glob of string
    /// A .NET regular expression that must match somewhere in the name.
    | Match of string
    | Layers of first: int * last: int
    | Names of string list
    | Both of TensorScope * TensorScope
    | Either of TensorScope * TensorScope
    | Except of TensorScope

module TensorScope =

    let private cache = System.Collections.Concurrent.ConcurrentDictionary<string, Regex>()

    // Linear-time matching: a hostile pattern can't take exponential time.
    let regex (pattern: string) =
        cache.GetOrAdd(pattern, fun p -> Regex(p, RegexOptions.NonBacktracking ||| RegexOptions.CultureInvariant))

    let private globRegex (glob: string) =
        let b = StringBuilder("^")
        for c in glob do
            match c with
            | '*' -> b.Append(".*") |> ignore
            | '?' -> b.Append('.') |> ignore
            | c -> b.Append(Regex.Escape(string c)) |> ignore
        regex (b.Append('$').ToString())

    let private nameSets =
        System.Runtime.CompilerServices.ConditionalWeakTable<string list, System.Collections.Generic.HashSet<string>>()

    // Lists name hundreds of tensors and are asked about for each of them.
    let private contains (names: string list) (name: string) =
        not names.IsEmpty && (nameSets.GetValue(names, fun n -> System.Collections.Generic.HashSet<string> n)).Contains name

    /// Whether the tensor of this name and layer (-1: none) is selected.
    let rec selects (name: string) (layer: int) scope =
        match scope with
        | Everything -> true
        | Glob g -> if g.AsSpan().IndexOfAny('*', '?') < 0 then g = name else (globRegex g).IsMatch name
        | Match p -> (regex p).IsMatch name
        | Layers(first, last) -> layer >= first && layer <= last
        | Names names -> contains names name
        | Both(a, b) -> selects name layer a && selects name layer b
        | Either(a, b) -> selects name layer a || selects name layer b
        | Except a -> not (selects name layer a)

    /// As a user would write it.
    let rec text scope =
        match scope with
        | Everything -> "everything"
        | Glob g -> $"\"{g}\""
        | Match p -> $"match(\"{p}\")"
        | Layers(a, b) -> $"layers({a}..{b})"
        | Names names ->
            let quoted = names |> List.map (fun n -> $"\"{n}\"")
            "tensors(" + String.Join(", ", quoted) + ")"
        | Both(a, b) -> $"({text a} and {text b})"
        | Either(a, b) -> $"({text a} or {text b})"
        | Except a -> $"not {text a}"
