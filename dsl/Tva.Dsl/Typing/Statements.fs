/// From the statements that have given names their meaning to the text that says where an expression comes from.
namespace Tva.Dsl.Typing

open System
open System.Collections.Generic

type Statements() =
    let remembered = Dictionary<string, string>()

    /// What looks like a name in a text. By hand, because the first use of a regular expression costs tens of milliseconds.
    let words (text: string) =
        let found = List<string>()
        let mutable i = 0
        while i < text.Length do
            if Char.IsLetter text[i] || text[i] = '_' then
                let start = i
                while i < text.Length && (Char.IsLetterOrDigit text[i] || text[i] = '_') do
                    i <- i + 1
                found.Add(text.Substring(start, i - start))
            else
                i <- i + 1
        found

    /// Keeps the statement that gives a name its meaning.
    member _.Remember(name: string, statement: string) = remembered[name] <- statement

    /// The statements that an expression rests on, then the expression.
    member _.Provenance(expression: string) =
        let taken = HashSet<string>()
        let lines = List<string>()
        let rec take (text: string) =
            for name in words text do
                match remembered.TryGetValue name with
                | true, statement when taken.Add name ->
                    take statement
                    lines.Add statement
                | _ -> ()
        take expression
        lines.Add expression
        String.Join("\n", lines)

    /// What is remembered now; running what is returned goes back to that.
    member _.Mark() : unit -> unit =
        let kept = Dictionary remembered
        fun () ->
            remembered.Clear()
            for entry in kept do
                remembered[entry.Key] <- entry.Value
