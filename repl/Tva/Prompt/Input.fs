/// From the characters that a terminal sends to keys and pasted texts.
namespace Tva.Prompt

open System
open System.Text

[<RequireQualifiedAccess>]
type Key =
    /// What is to be inserted: whole characters.
    | Text of string
    | Enter
    /// A line end that does not end the input (Alt-Enter).
    | Newline
    | Tab
    | BackTab
    | Backspace
    | Delete
    | Left
    | Right
    | Up
    | Down
    | Home
    | End
    | PageUp
    | PageDown
    | WordLeft
    | WordRight
    | Escape
    /// With the letter in lower case.
    | Ctrl of char
    | Alt of char

[<RequireQualifiedAccess>]
type Input =
    | Key of Key
    /// A text that came in one piece, its line ends `\n`.
    | Paste of string
    /// The terminal has another size.
    | Resized
    /// Nothing will come any more.
    | Closed

/// Reads a terminal's characters, one at a time; what begins with an escape is only known at its end.
type KeyDecoder() =
    let sequence = StringBuilder()
    let pasted = StringBuilder()
    let mutable pasting = false
    let mutable high = '\000'
    let pasteEnd = "\u001b[201~"

    let key k = [ Input.Key k ]

    let control (c: char) =
        match c with
        | '\r'
        | '\n' -> key Key.Enter
        | '\t' -> key Key.Tab
        | '\b'
        | '\u007f' -> key Key.Backspace
        | c when c > '\000' && c < '\u001b' -> key (Key.Ctrl(char (int c + 96)))
        | '\u001f' -> key (Key.Ctrl '_')
        | _ -> []

    let csi (body: string) =
        let final = body[body.Length - 1]
        let numbers = body.Substring(0, body.Length - 1).Split(';')
        // The second number is 1 and the modifiers: 2 Alt, 4 Ctrl.
        let held = numbers.Length > 1 && (match Int32.TryParse numbers[1] with | true, n -> (n - 1) &&& 6 <> 0 | _ -> false)
        match final, numbers[0] with
        | 'A', _ -> key Key.Up
        | 'B', _ -> key Key.Down
        | 'C', _ -> key (if held then Key.WordRight else Key.Right)
        | 'D', _ -> key (if held then Key.WordLeft else Key.Left)
        | 'H', _ -> key Key.Home
        | 'F', _ -> key Key.End
        | 'Z', _ -> key Key.BackTab
        | '~', ("1" | "7") -> key Key.Home
        | '~', ("4" | "8") -> key Key.End
        | '~', "3" -> key (if held then Key.Alt 'd' else Key.Delete)
        | '~', "5" -> key Key.PageUp
        | '~', "6" -> key Key.PageDown
        | '~', "200" ->
            pasting <- true
            []
        | _ -> []

    let isFinal (c: char) = c >= '@' && c <= '~'

    let escape (c: char) =
        let body = sequence.ToString().Substring 1
        let finish found =
            sequence.Clear() |> ignore
            found
        match body, c with
        | "", '\u001b' -> finish (key Key.Escape)
        | "", ('[' | 'O') ->
            sequence.Append c |> ignore
            []
        | "", ('\r' | '\n') -> finish (key Key.Newline)
        | "", ('\b' | '\u007f') -> finish (key (Key.Alt '\b'))
        | "", c when c >= ' ' -> finish (key (Key.Alt(Char.ToLowerInvariant c)))
        | "", _ -> finish (control c)
        | "O", c -> finish (csi (string c))
        // No terminal sends one that is longer.
        | _ when body.Length > 32 -> finish []
        | _, c when isFinal c && not (body = "[" && c = '[') -> finish (csi (body.Substring 1 + string c))
        | _, c when c < ' ' -> finish (control c)
        | _ ->
            sequence.Append c |> ignore
            []

    let endsPaste () =
        pasted.Length >= pasteEnd.Length
        && pasted.ToString(pasted.Length - pasteEnd.Length, pasteEnd.Length) = pasteEnd

    /// Whether more is needed to tell what was typed.
    member _.Waits = sequence.Length > 0 && not pasting

    member _.Feed(c: char) : Input list =
        if pasting then
            pasted.Append c |> ignore
            if c = '~' && endsPaste () then
                let text = pasted.ToString(0, pasted.Length - pasteEnd.Length).Replace("\r\n", "\n").Replace('\r', '\n')
                pasted.Clear() |> ignore
                pasting <- false
                [ Input.Paste text ]
            else []
        elif sequence.Length > 0 then escape c
        elif c = '\u001b' then
            sequence.Append c |> ignore
            []
        elif c < ' ' || c = '\u007f' then control c
        elif Char.IsHighSurrogate c then
            high <- c
            []
        elif Char.IsLowSurrogate c then
            if high = '\000' then []
            else
                let text = String([| high; c |])
                high <- '\000'
                key (Key.Text text)
        else
            high <- '\000'
            key (Key.Text(string c))

    /// The same for many at once: characters that mean nothing but themselves are told together.
    member this.Feed(text: string, give: Input -> unit) =
        let isPlain (c: char) = c >= ' ' && c <> '\u007f' && not (Char.IsSurrogate c)
        let mutable i = 0
        while i < text.Length do
            let mutable last = i
            if pasting then
                while last < text.Length && text[last] <> '~' do
                    last <- last + 1
                pasted.Append(text, i, last - i) |> ignore
            elif sequence.Length = 0 && high = '\000' then
                while last < text.Length && isPlain text[last] do
                    last <- last + 1
                if last > i then
                    give (Input.Key(Key.Text(text.Substring(i, last - i))))
            if last = i then
                List.iter give (this.Feed text[i])
                last <- i + 1
            i <- last

    /// Nothing more came for a while: an escape was the key of that name.
    member _.Flush() : Input list =
        if sequence.Length = 0 || pasting then []
        else
            let alone = sequence.Length = 1
            sequence.Clear() |> ignore
            if alone then key Key.Escape else []
