/// What the command is connected to: streams in and out, what is known of them, and the wish to stop.
namespace Tva

open System
open System.IO
open System.Threading

type Host =
    { In: TextReader
      /// The same as bytes: whoever reads one leaves the other.
      Input: Stream
      /// Results only.
      Out: TextWriter
      /// Everything else: diagnostics, progress, what was saved.
      Error: TextWriter
      /// A person watches `Error`: lines may be redrawn.
      Watched: bool
      Color: bool
      /// Columns of the terminal behind `Error`.
      Width: int
      /// What relative paths on the command line and in `eval` begin at.
      Folder: string
      Cancel: CancellationToken
      /// A person at a terminal; nothing where the standard input is none.
      Prompt: Prompt.PromptConsole option }

    /// A path of the command line as a full one.
    member h.Full(path: string) = Path.GetFullPath(path, h.Folder)

    /// One line of what went wrong.
    member h.Say(line: string) =
        h.Error.WriteLine line
        h.Error.Flush()

/// How the command ends; the README lists them.
module Exit =
    [<Literal>]
    let Done = 0

    [<Literal>]
    let Fault = 1

    [<Literal>]
    let Wrong = 2

    [<Literal>]
    let AssertionFailed = 3

    [<Literal>]
    let Internal = 70

    /// 128 + SIGINT, as shells have it.
    [<Literal>]
    let Cancelled = 130
