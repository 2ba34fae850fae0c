package main

func Example() {
	main()
	// Output:
	// Acme and jane: committed
	// Acme again, with john: rolled back
	// john does not exist
	// Globex, with jane again: taken are [userName email]
	// accounts: 1
}
