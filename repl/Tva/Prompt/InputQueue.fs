/// Inputs on their way from the thread that reads the terminal to the prompt. What is typed faster than it is taken becomes one text: one
/// that is pasted without marks comes as keys, however many megabytes of them.
namespace Tva.Prompt

open System.Collections.Generic
open System.Text
open System.Threading

type InputQueue() =
    let gate = obj ()
    let waiting = Queue<Input>()
    /// Typed after all that waits.
    let typed = StringBuilder()

    let isEmpty () = waiting.Count = 0 && typed.Length = 0

    let takeTyped () =
        let text = typed.ToString()
        typed.Clear() |> ignore
        Input.Key(Key.Text text)

    member _.Add(input: Input) =
        lock gate (fun () ->
            match input with
            | Input.Key(Key.Text text) -> typed.Append text |> ignore
            | other ->
                if typed.Length > 0 then
                    waiting.Enqueue(takeTyped ())
                waiting.Enqueue other
            Monitor.PulseAll gate)

    /// The next input; waits for it.
    member _.Take() : Input =
        lock gate (fun () ->
            while isEmpty () do
                Monitor.Wait gate |> ignore
            if waiting.Count > 0 then waiting.Dequeue() else takeTyped ())

    member _.Pending = lock gate (isEmpty >> not)

    /// Forgets what has not been taken.
    member _.Clear() =
        lock gate (fun () ->
            waiting.Clear()
            typed.Clear() |> ignore)
