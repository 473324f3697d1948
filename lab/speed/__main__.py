from lab.speed.run import main

main()
