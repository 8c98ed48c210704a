/// Room for recursion over trees: the parser lets chains of operators through that are deeper than a default stack.
namespace Tva.Dsl

open System.Runtime.ExceptionServices
open System.Threading

module Stack =

    /// The tallest tree the parser makes. A pass that recurses over trees runs in `Stack.run`: 12 KiB for each level.
    [<Literal>]
    let MaxHeight = 20_000

    /// Runs the work on a thread whose stack (reserved, not committed) fits the tallest tree; its exceptions come out here.
    let run (work: unit -> 'a) : 'a =
        let result = ref Unchecked.defaultof<'a>
        let failure: ExceptionDispatchInfo option ref = ref None
        let body () =
            try
                result.Value <- work ()
            with e ->
                failure.Value <- Some(ExceptionDispatchInfo.Capture e)
        let thread = Thread(body, 256 * 1024 * 1024, IsBackground = true)
        thread.Start()
        thread.Join()
        failure.Value |> Option.iter _.Throw()
        result.Value
