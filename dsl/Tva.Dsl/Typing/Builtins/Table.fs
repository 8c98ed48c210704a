/// Every built-in function.
module Tva.Dsl.Typing.Builtins.Table

open Tva.Dsl.Typing

let all: Builtin list =
    Loading.all @ Elementwise.all @ Members.all @ Reductions.all @ Scopes.all @ Stacks.all @ Matrices.all @ Checks.all @ Tables.all @ Iteration.all @ Bases.all @ Advice.all @ Conflicts.all @ Corollaries.all @ Output.all @ Pictures.all

let private byName = lazy (all |> List.map (fun b -> b.Name, b) |> dict)

let find (name: string) =
    match byName.Value.TryGetValue name with
    | true, b -> Some b
    | _ -> None
