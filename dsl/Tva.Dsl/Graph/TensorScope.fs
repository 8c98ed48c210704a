/// Which tensors a restriction, a coefficient or an option speaks of: from a tensor's name and layer to yes or no.
namespace Tva.Dsl.Graph

open System
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

    /// The tensors that have a layer.
    let anyLayer = Layers(0, Int32.MaxValue)

    let private cache = System.Collections.Concurrent.ConcurrentDictionary<string, Regex>()

    // Linear-time matching: a hostile pattern can't take exponential time.
    let regex (pattern: string) =
        cache.GetOrAdd(pattern, fun p -> Regex(p, RegexOptions.NonBacktracking ||| RegexOptions.CultureInvariant))

    // By hand: the first regular expression costs tens of milliseconds, and nearly every script has a glob. A star takes as
    // little as it can, and one character more each time the rest fails: at most glob times name steps.
    let private globMatches (glob: string) (name: string) =
        let mutable g = 0
        let mutable n = 0
        let mutable star = -1
        let mutable resume = 0
        let mutable fits = true
        while fits && n < name.Length do
            if g < glob.Length && glob[g] = '*' then
                star <- g
                resume <- n
                g <- g + 1
            elif g < glob.Length && (glob[g] = '?' || glob[g] = name[n]) then
                g <- g + 1
                n <- n + 1
            elif star >= 0 then
                g <- star + 1
                resume <- resume + 1
                n <- resume
            else
                fits <- false
        fits && glob.AsSpan(g).IndexOfAnyExcept('*') < 0

    let private nameSets =
        System.Runtime.CompilerServices.ConditionalWeakTable<string list, System.Collections.Generic.HashSet<string>>()

    // Lists name hundreds of tensors and are asked about for each of them.
    let private contains (names: string list) (name: string) =
        not names.IsEmpty && (nameSets.GetValue(names, fun n -> System.Collections.Generic.HashSet<string> n)).Contains name

    /// Whether the tensor of this name and layer (-1: none) is selected.
    let rec selects (name: string) (layer: int) scope =
        match scope with
        | Everything -> true
        | Glob g -> globMatches g name
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
        | Layers(0, Int32.MaxValue) -> "any layer"
        | Layers(a, b) -> $"layers({a}..{b})"
        | Names names ->
            let quoted = names |> List.map (fun n -> $"\"{n}\"")
            "tensors(" + String.Join(", ", quoted) + ")"
        | Both(a, b) -> $"({text a} and {text b})"
        | Either(a, b) -> $"({text a} or {text b})"
        | Except a -> $"not {text a}"
